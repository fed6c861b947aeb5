package storetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// PgBouncer starts a PgBouncer in transaction mode before the server of a URL that
// [Postgres] gave, for one test, and returns the URL by way of it. Where PgBouncer is
// not installed it is as with PostgreSQL.
func PgBouncer(t testing.TB, rawURL string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		skip(t, "no PgBouncer found: install one, such as Debian's package pgbouncer")
	}
	server, folder, through := redirect(t, rawURL)
	settings := fmt.Sprintf(`[databases]
* = host=%s user=postgres
[pgbouncer]
listen_addr =
listen_port = 5432
unix_socket_dir = %s
auth_type = any
pool_mode = transaction
default_pool_size = 10
max_client_conn = 200
`, server, folder)
	path := filepath.Join(folder, "pgbouncer.ini")
	must(t, os.WriteFile(path, []byte(settings), 0o644))
	bouncer := exec.Command(program, "-q", path)
	bouncer.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 { // as whom it does not run
		bouncer.SysProcAttr.Credential, err = unprivileged()
		must(t, err)
		must(t, os.Chown(folder, int(bouncer.SysProcAttr.Credential.Uid), -1))
	}
	must(t, bouncer.Start())
	t.Cleanup(func() { bouncer.Process.Kill(); bouncer.Wait() })
	if err := await(through, true); err != nil {
		t.Fatalf("start PgBouncer: %v", err)
	}
	return through
}
