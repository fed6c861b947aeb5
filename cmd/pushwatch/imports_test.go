package main_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mayImport is the direction of the architecture: for each package, which others
// of the module it may import. Only cmd/pushwatch, which wires, and tests may import any.
var mayImport = map[string][]string{
	"cmd/pushwatch/internal/api":                {"watcher", "watcher/setting"},
	"cmd/pushwatch/internal/web":                {"cmd/pushwatch/internal/api", "cmd/pushwatch/internal/web/page", "notify", "watcher", "watcher/engine", "watcher/loop"},
	"cmd/pushwatch/internal/web/page":           {"cmd/pushwatch/internal/api", "notify", "watcher", "watcher/engine", "watcher/loop"},
	"notify":                                    {"watcher", "watcher/loop", "watcher/setting"},
	"notify/chat":                               {"notify", "notify/transport", "watcher", "watcher/loop", "watcher/setting"},
	"notify/notifytest":                         {"notify/signing", "watcher/loop"},
	"notify/signing":                            {},
	"notify/transport":                          {"notify", "watcher/setting"},
	"notify/webhook":                            {"notify", "notify/signing", "notify/transport", "watcher", "watcher/setting"},
	"watcher":                                   {"watcher/setting"},
	"watcher/engine":                            {"watcher", "watcher/limit", "watcher/loop", "watcher/outage", "watcher/schedule", "watcher/setting"},
	"watcher/limit":                             {},
	"watcher/outage":                            {"watcher"},
	"watcher/schedule":                          {"watcher"},
	"watcher/schedule/scheduletest":             {"watcher", "watcher/schedule"},
	"watcher/loop":                              {},
	"watcher/setting":                           {},
	"cmd/pushwatch/internal/sqlstore":           {"notify", "watcher", "watcher/loop", "watcher/setting"},
	"cmd/pushwatch/internal/sqlstore/storetest": {"notify", "watcher", "watcher/setting"},
	"watcher/tcptest":                           {},
	"watcher/tencent":                           {"watcher", "watcher/setting"},
	"watcher/tiwsim":                            {},

	"cmd/pushwatch/internal/deliverytest": {}, // tests alone
	"cmd/pushwatch/internal/enginetest":   {}, // likewise
}

// stdOnly are the packages without third-party imports: consumers import signing,
// and the simulated service must not share a mistake with the client it tests.
var stdOnly = []string{"notify/signing", "watcher/tiwsim"}

// pure are the packages that start no goroutine, take no lock and log nothing.
var pure = []string{"watcher", "watcher/limit", "watcher/outage", "watcher/schedule"}

// impure are the packages that they must not import.
var impure = []string{"sync", "sync/atomic", "log", "log/slog", "go.uber.org/zap"}

func TestImports(t *testing.T) {
	imports := moduleImports(t)
	for pkg := range mayImport {
		if _, ok := imports[pkg]; !ok {
			t.Errorf("package %s has a rule here but does not exist", pkg)
		}
	}
	for pkg, imported := range imports {
		if pkg == "cmd/pushwatch" {
			continue
		}
		allowed, ok := mayImport[pkg]
		if !ok {
			t.Errorf("package %s has no rule here: say what it may import", pkg)
			continue
		}
		for _, path := range imported {
			own, isOwn := strings.CutPrefix(path, "pushwatch/")
			domain, _, _ := strings.Cut(path, "/")
			switch {
			case isOwn && !slices.Contains(allowed, own):
				t.Errorf("%s imports %s, want of this module only %q", pkg, own, allowed)
			case strings.Contains(domain, ".") && slices.Contains(stdOnly, pkg):
				t.Errorf("%s imports %s, want the standard library only", pkg, path)
			case slices.Contains(pure, pkg) && slices.Contains(impure, path):
				t.Errorf("%s imports %s, but is to start no goroutine, take no lock and log nothing", pkg, path)
			}
		}
	}
}

// moduleImports returns what each package of the module imports outside its tests.
// The keys are paths below the module's.
func moduleImports(t *testing.T) map[string][]string {
	t.Helper()
	var stderr strings.Builder
	list := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "pushwatch/...")
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	imports := make(map[string][]string)
	for line := range strings.Lines(string(out)) {
		paths := strings.Fields(line)
		imports[strings.TrimPrefix(paths[0], "pushwatch/")] = paths[1:]
	}
	return imports
}

// TestNoDefaultTransport: all requests go through a transport with limits of its own.
// What http.DefaultTransport is left for is the library of package chat, whose requests
// its carrier takes.
func TestNoDefaultTransport(t *testing.T) {
	unbounded := regexp.MustCompile(`\bhttp\.(DefaultClient|DefaultTransport|Get|Head|Post|PostForm)\b`)
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "notify/chat/carrier.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if found := unbounded.Find(text); found != nil {
			t.Errorf("%s uses %s, want a transport of its own", path, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
