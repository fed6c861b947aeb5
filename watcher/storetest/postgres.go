package storetest

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres returns the URL of a new, empty database on a PostgreSQL server that
// this process starts for itself. The test is skipped where none is installed,
// but fails there if the environment says CI=true.
func Postgres(t testing.TB) string {
	t.Helper()
	bin := postgresBin()
	if bin == "" {
		const missing = "no PostgreSQL server found: install one, such as Debian's package postgresql"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	server.once.Do(func() { server.err = server.start(bin) })
	if server.err != nil {
		t.Fatal(server.err)
	}
	name := fmt.Sprintf("test%d", server.databases.Add(1))
	conn, err := pgx.Connect(t.Context(), server.url("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return server.url(name)
}

// server is the one that the process has.
var server postgresServer

type postgresServer struct {
	once      sync.Once
	err       error     // why it did not start
	folder    string    // its data and its socket
	life      io.Closer // it runs until this is closed, by the end of the process
	databases atomic.Int64
}

// url leads to a database of the server.
func (s *postgresServer) url(database string) string {
	query := url.Values{"host": {s.folder}, "user": {"postgres"}}
	return (&url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: query.Encode()}).String()
}

// postgresBin is the folder of the newest server's programs; empty: there is none.
func postgresBin() string {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return ""
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
}

// serve runs a server until its input ends, which is when the process that holds
// the other end is gone, however it went; then it leaves nothing behind.
const serve = `"$1/postgres" -D "$2/data" -k "$2" -h "" >"$2/log" 2>&1 </dev/null &
cat >/dev/null
kill -QUIT $!
wait
rm -rf "$2"`

// start makes a server that listens on a socket in a folder of its own. It syncs
// as servers do by default.
func (s *postgresServer) start(bin string) (err error) {
	if s.folder, err = os.MkdirTemp("", "storetest-"); err != nil {
		return err
	}
	attributes := &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is not for it
	if os.Getuid() == 0 {                             // as whom no server runs
		if attributes.Credential, err = unprivileged(); err != nil {
			return err
		}
		if err := os.Chown(s.folder, int(attributes.Credential.Uid), int(attributes.Credential.Gid)); err != nil {
			return err
		}
	}
	initdb := exec.Command(bin+"/initdb", "-D", s.folder+"/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = attributes, s.folder
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	shell := exec.Command("/bin/sh", "-c", serve, "sh", bin, s.folder)
	shell.SysProcAttr, shell.Dir = attributes, s.folder
	if s.life, err = shell.StdinPipe(); err != nil {
		return err
	}
	if err := shell.Start(); err != nil {
		return err
	}
	return s.await()
}

// unprivileged is who runs the server when root tests.
func unprivileged() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// await returns when the server accepts connections.
func (s *postgresServer) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.url("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(s.folder + "/log")
			return fmt.Errorf("start PostgreSQL: %w\n%s", err, said)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
