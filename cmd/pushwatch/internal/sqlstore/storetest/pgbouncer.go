package storetest

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// PgBouncer starts a PgBouncer in transaction mode before the server of a URL that
// [Postgres] gave, for one test, and returns the URL by way of it. Where PgBouncer is
// not installed it is as with PostgreSQL.
func PgBouncer(t testing.TB, rawURL string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		const missing = "no PgBouncer found: install one, such as Debian's package pgbouncer"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "storetest-") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	query := u.Query()
	settings := fmt.Sprintf(`[databases]
* = host=%s user=postgres
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = %s
auth_type = any
pool_mode = transaction
default_pool_size = 10
max_client_conn = 200
`, query.Get("host"), folder)
	path := filepath.Join(folder, "pgbouncer.ini")
	if err := os.WriteFile(path, []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	bouncer := exec.Command(program, "-q", path)
	bouncer.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 { // as whom it does not run
		if bouncer.SysProcAttr.Credential, err = unprivileged(); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(folder, int(bouncer.SysProcAttr.Credential.Uid), -1); err != nil {
			t.Fatal(err)
		}
	}
	if err := bouncer.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bouncer.Process.Kill(); bouncer.Wait() })
	query.Set("host", folder)
	query.Set("port", "6432")
	u.RawQuery = query.Encode()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		conn, err := pgx.Connect(t.Context(), u.String())
		if err == nil {
			conn.Close(t.Context())
			return u.String()
		}
		if time.Now().After(deadline) {
			t.Fatalf("start PgBouncer: %v", err)
		}
	}
}
