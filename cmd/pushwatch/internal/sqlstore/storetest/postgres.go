package storetest

import (
	"cmp"
	"context"
	"errors"
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
// this process starts for itself. The server of tests does not wait for the disk, on
// which no test depends: what a killed process wrote, the kernel has. It does not compile
// queries, which takes longer than to run those of tests. That of benchmarks does both. The
// test is skipped where no server is installed, but fails there if the environment says
// CI=true.
func Postgres(t testing.TB) string {
	t.Helper()
	bin := postgresBin(t)
	s := &testServer
	if _, measured := t.(*testing.B); measured {
		s = &benchmarkServer
	}
	s.once.Do(func() { s.err = s.create(bin) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.database(t)
}

// A PostgresServer is a server for one test, which can crash it.
type PostgresServer struct {
	URL    string // of its only database
	server *postgresServer
}

// NewPostgres starts a server that ends with the test. Where none is installed it
// skips or fails like [Postgres].
func NewPostgres(t testing.TB) *PostgresServer {
	t.Helper()
	s := new(postgresServer)
	must(t, s.create(postgresBin(t)))
	t.Cleanup(func() { s.orders.Close(); s.shell.Wait() })
	return &PostgresServer{s.database(t), s}
}

// Crash ends the server at once, like a failure of its machine. It returns when the server no
// longer answers.
func (s *PostgresServer) Crash(t testing.TB) {
	t.Helper()
	s.server.order(t, "crash")
	if err := await(s.URL, false); err != nil {
		t.Fatalf("end PostgreSQL: %v", err)
	}
}

// Start starts the server again, and returns when it accepts connections.
func (s *PostgresServer) Start(t testing.TB) {
	t.Helper()
	s.server.order(t, "start")
	must(t, s.server.await())
}

// database makes a new database and returns its URL.
func (s *postgresServer) database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	conn, err := pgx.Connect(t.Context(), s.url("postgres"))
	must(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "CREATE DATABASE "+name)
	must(t, err)
	return s.url(name)
}

// The servers that the process has.
var (
	testServer      = postgresServer{settings: "-c fsync=off -c full_page_writes=off -c jit=off -c max_connections=1000"}
	benchmarkServer postgresServer
)

type postgresServer struct {
	settings  string // on its command line
	once      sync.Once
	err       error          // why it did not start
	folder    string         // its data and its socket
	orders    io.WriteCloser // of the shell; the server runs until it is closed, by the end of the process
	shell     *exec.Cmd      // runs serve
	databases atomic.Int64
}

// url returns the URL of a database of the server.
func (s *postgresServer) url(database string) string {
	query := url.Values{"host": {s.folder}, "user": {"postgres"}}
	return (&url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: query.Encode()}).String()
}

// order sends a command to the shell script serve.
func (s *postgresServer) order(t testing.TB, what string) {
	t.Helper()
	_, err := fmt.Fprintln(s.orders, what)
	must(t, err)
}

// postgresBin returns the folder with the programs of the newest server.
func postgresBin(t testing.TB) string {
	t.Helper()
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		skip(t, "no PostgreSQL server found: install one, such as Debian's package postgresql")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
}

// skip skips a test that lacks something, or fails it if the environment says CI=true.
func skip(t testing.TB, missing string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

// serve runs a server until its input ends, which is when the process that holds
// the other end is gone, however it went; then it leaves nothing behind. Until
// then the lines of the input are orders.
const serve = `bin=$1 folder=$2 settings=$3
start() { "$bin/postgres" -D "$folder/data" -k "$folder" -h "" $settings >>"$folder/log" 2>&1 </dev/null & }
crash() { kill -QUIT $! && wait; }
start
while read -r order; do "$order"; done
crash
rm -rf "$folder"`

// create makes a server that listens on a socket in a folder of its own. Without
// settings it syncs as servers do by default.
func (s *postgresServer) create(bin string) (err error) {
	if s.folder, err = os.MkdirTemp(disk, "storetest-"); err != nil {
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
	s.shell = exec.Command("/bin/sh", "-c", serve, "sh", bin, s.folder, s.settings)
	s.shell.SysProcAttr, s.shell.Dir = attributes, s.folder
	if s.orders, err = s.shell.StdinPipe(); err != nil {
		return err
	}
	if err := s.shell.Start(); err != nil {
		return err
	}
	return s.await()
}

// unprivileged returns the user that runs the server if the tests run as root.
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
	if err := await(s.url("postgres"), true); err != nil {
		said, _ := os.ReadFile(s.folder + "/log")
		return fmt.Errorf("start PostgreSQL: %w\n%s", err, said)
	}
	return nil
}

// await returns when the server of a URL accepts connections, or no longer does.
func await(url string, accepts bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			conn.Close(ctx)
		}
		if (err == nil) == accepts {
			return nil
		}
		select {
		case <-ctx.Done():
			return cmp.Or(err, errors.New("it still accepts connections"))
		case <-time.After(20 * time.Millisecond):
		}
	}
}
