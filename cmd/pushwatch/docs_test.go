package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/tiwsim"
)

// The documents, by their paths from the top of the repository.
const (
	readme       = "README.md"
	useDoc       = "cmd/pushwatch/README.md"
	receiveDoc   = "notify/README.md"
	watchDoc     = "watcher/README.md"
	operateDoc   = "deploy/README.md"
	documentRoot = "../.."
)

var documents = []string{readme, useDoc, receiveDoc, watchDoc, operateDoc}

// A block is a piece of code in a document.
type block struct {
	document, language, text string
	line                     int // of its first line
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.document, b.line) }

var fence = regexp.MustCompile("^( *)```(.*)$")

// readDocument returns a document's code, and its other text.
func readDocument(t *testing.T, name string) (blocks []block, prose string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(documentRoot, name))
	if err != nil {
		t.Fatal(err)
	}
	var rest strings.Builder
	var current *block
	var indent string
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		m := fence.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		switch {
		case m == nil && current == nil:
			rest.WriteString(line)
		case m == nil:
			current.text += strings.TrimPrefix(line, indent)
		case current == nil:
			indent = m[1]
			current = &block{document: name, language: m[2], line: number + 1}
		default:
			blocks = append(blocks, *current)
			current = nil
		}
	}
	if current != nil {
		t.Fatalf("%v: the code does not end", current)
	}
	return blocks, rest.String()
}

// blocksOf are all blocks of the documents in a language.
func blocksOf(t *testing.T, language string) []block {
	t.Helper()
	var found []block
	for _, name := range documents {
		blocks, _ := readDocument(t, name)
		for _, b := range blocks {
			if b.language == language {
				found = append(found, b)
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("the documents have no code in %q", language)
	}
	return found
}

// blockWith is the only block of a document that holds some text.
func blockWith(t *testing.T, document, language, text string) block {
	t.Helper()
	found := slices.DeleteFunc(blocksOf(t, language), func(b block) bool { return b.document != document || !strings.Contains(b.text, text) })
	if len(found) != 1 {
		t.Fatalf("%s has %d blocks of code in %q with %q, want one", document, len(found), language, text)
	}
	return found[0]
}

// spansOf are the words of a document that are set as code.
func spansOf(t *testing.T, document string) []string {
	t.Helper()
	_, prose := readDocument(t, document)
	var spans []string
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(prose, -1) {
		spans = append(spans, strings.Join(strings.Fields(m[1]), " "))
	}
	return spans
}

// TestDocumentBlocks holds that no code escapes the tests: each is in a language that one
// of them runs, compiles or reads, and there are no more programs than those run.
func TestDocumentBlocks(t *testing.T) {
	programs := make(map[string]int)
	for _, name := range documents {
		blocks, _ := readDocument(t, name)
		for _, b := range blocks {
			switch b.language {
			case "sh", "toml", "json", "ini", "": // the last is what a program prints
			case "go", "js", "python":
				programs[b.document]++
			default:
				t.Errorf("%v: no test reads code in %q", b, b.language)
			}
		}
	}
	if want := map[string]int{useDoc: 3, receiveDoc: 3}; !maps.Equal(programs, want) {
		t.Errorf("the documents have the programs %v, want %v, which TestRegistering and TestConsumers run", programs, want)
	}
}

var (
	linkPattern    = regexp.MustCompile(`\]\(([^)\s]+)\)|<(https?:[^>]+)>`)
	headingPattern = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// TestDocumentLinks follows each link within the repository: the file exists, so does the
// chapter, and both are in the packages, which have the documents in the same folders.
func TestDocumentLinks(t *testing.T) {
	m := regexp.MustCompile(`archive HEAD (.+) \| tar`).FindStringSubmatch(deployed(t, "package/build"))
	if m == nil {
		t.Fatal("deploy/package/build archives nothing")
	}
	var packaged []string
	for part := range strings.FieldsSeq(m[1]) {
		packaged = append(packaged, strings.Trim(part, `'`))
	}
	anchors := make(map[string][]string)
	for _, name := range documents {
		anchors[name] = anchorsOf(t, name)
	}
	for _, name := range documents {
		_, prose := readDocument(t, name)
		links := linkPattern.FindAllStringSubmatch(prose, -1)
		if len(links) == 0 {
			t.Errorf("%s has no links", name)
		}
		for _, m := range links {
			target, anchor, _ := strings.Cut(cmp.Or(m[1], m[2]), "#")
			if strings.HasPrefix(target, "https://") || strings.HasPrefix(target, "http://127.0.0.1") {
				continue
			}
			file := name
			if target != "" {
				file = path.Join(path.Dir(name), target)
			}
			if _, err := os.Stat(filepath.Join(documentRoot, file)); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
				continue
			}
			if anchor != "" && !slices.Contains(anchors[file], anchor) {
				t.Errorf("%s links to %s, where no chapter is called so", name, m[1])
			}
			inPackage := slices.ContainsFunc(packaged, func(part string) bool { return file == part || strings.HasPrefix(file, part+"/") })
			if !inPackage || strings.HasPrefix(file, "deploy/package/") {
				t.Errorf("%s links to %s, which is not in the packages", name, m[1])
			}
		}
	}
}

// anchorsOf are the names under which the chapters of a document can be linked to.
func anchorsOf(t *testing.T, document string) []string {
	t.Helper()
	_, prose := readDocument(t, document)
	var anchors []string
	for _, m := range headingPattern.FindAllStringSubmatch(prose, -1) {
		heading := strings.ToLower(m[1])
		heading = regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(heading, "")
		anchors = append(anchors, strings.ReplaceAll(heading, " ", "-"))
	}
	return anchors
}

// TestDocumentCommands reads each command of the documents: the shell understands it, and
// pushwatch knows its subcommand, flags and arguments.
func TestDocumentCommands(t *testing.T) {
	for _, b := range blocksOf(t, "sh") {
		if out, err := exec.CommandContext(t.Context(), "bash", "-nc", b.text).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", b, out)
		}
		for _, args := range commandsIn(b.text) {
			if err := understood(args, true); err != nil {
				t.Errorf("%v: pushwatch %s: %v", b, strings.Join(args, " "), err)
			}
		}
		for _, m := range regexp.MustCompile(`(?:^|\s)((?:\./|deploy/)\S*)`).FindAllStringSubmatch(b.text, -1) {
			if _, err := os.Stat(filepath.Join(documentRoot, m[1])); err != nil && !strings.HasPrefix(m[1], "./pushwatch") && !strings.HasPrefix(m[1], "./out/") && m[1] != "./..." {
				t.Errorf("%v: %v", b, err)
			}
		}
	}
	for _, b := range blocksOf(t, "") { // a terminal
		for _, m := range regexp.MustCompile(`(?m)^\$ (.*)$`).FindAllStringSubmatch(b.text, -1) {
			for _, args := range commandsIn(m[1]) {
				if err := understood(args, true); err != nil {
					t.Errorf("%v: pushwatch %s: %v", b, strings.Join(args, " "), err)
				}
			}
		}
	}
	for _, name := range documents {
		for _, span := range spansOf(t, name) {
			for _, args := range commandsIn(span) {
				if err := understood(args, false); err != nil {
					t.Errorf("%s: %s: %v", name, span, err)
				}
			}
			if strings.HasPrefix(span, "--") && !strings.HasPrefix(span, "--format") {
				if flag, _, _ := strings.Cut(span[2:], " "); !anyCommandHas(flag) {
					t.Errorf("%s: no command has the flag %s", name, span)
				}
			}
		}
	}
}

// commandsIn are the arguments of each call of pushwatch in a script.
func commandsIn(script string) [][]string {
	script = strings.ReplaceAll(script, "\\\n", " ")
	script = regexp.MustCompile(`\$\([^)]*\)`).ReplaceAllString(script, "x")
	var all [][]string
	for _, m := range regexp.MustCompile(`(?m)(?:^|[;&|]|  +)\s*(?:\./)?(?:go run \./cmd/)?pushwatch((?: [^#\n|&;>]+)?)`).FindAllStringSubmatch(script, -1) {
		args := strings.Fields(m[1])
		for i, arg := range args {
			args[i] = strings.Trim(arg, `'"`)
		}
		if len(args) > 0 {
			all = append(all, args)
		}
	}
	return all
}

// understood returns why a command is not; complete: it has all its arguments.
func understood(args []string, complete bool) error {
	cmd, rest, err := newRoot().Find(args)
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(rest); errors.Is(err, pflag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if !complete {
		if cmd.HasSubCommands() && len(cmd.Flags().Args()) > 0 {
			return fmt.Errorf("no command %s", cmd.Flags().Args())
		}
		return nil
	}
	if cmd.HasSubCommands() {
		return errors.New("only groups commands")
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// anyCommandHas reports whether a command has a flag.
func anyCommandHas(flag string) bool {
	for _, c := range newRoot().Commands() {
		for _, c := range append(c.Commands(), c) {
			if c.Flags().Lookup(flag) != nil || c.InheritedFlags().Lookup(flag) != nil || flag == "help" {
				return true
			}
		}
	}
	return false
}

// TestDocumentedCommandTable holds that the table of commands has all of them, with the
// verbs of those that group others.
func TestDocumentedCommandTable(t *testing.T) {
	_, prose := readDocument(t, useDoc)
	rows := make(map[string]string)
	for _, m := range regexp.MustCompile("(?m)^\\| `pushwatch (\\w+)` \\| (.*) \\|$").FindAllStringSubmatch(prose, -1) {
		rows[m[1]] = m[2]
	}
	for _, c := range newRoot().Commands() {
		if c.Hidden || c.Name() == "help" {
			continue
		}
		row, ok := rows[c.Name()]
		if !ok {
			t.Errorf("the table lacks %s", c.Name())
		}
		for _, verb := range c.Commands() {
			if c.Name() != "completion" && !strings.Contains(row, "`"+verb.Name()+"`") {
				t.Errorf("the table lacks %s %s", c.Name(), verb.Name())
			}
		}
		delete(rows, c.Name())
	}
	for name := range rows {
		t.Errorf("the table has %s, which is no command", name)
	}
}

// TestDocumentedBenchmarks holds that each command that measures something names a
// benchmark of the package.
func TestDocumentedBenchmarks(t *testing.T) {
	found := 0
	for _, name := range documents {
		for _, span := range spansOf(t, name) {
			m := regexp.MustCompile(`^go test -run '\^\$' -bench '?(\S+?)'? \./(\S+)$`).FindStringSubmatch(span)
			if m == nil {
				if strings.HasPrefix(span, "go test") {
					t.Errorf("%s: %s is not understood", name, span)
				}
				continue
			}
			found++
			files, err := filepath.Glob(filepath.Join(documentRoot, m[2], "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			top, part, _ := strings.Cut(m[1], "/") // the benchmark, and one of its parts
			wanted := regexp.MustCompile(top)
			if !slices.ContainsFunc(files, func(file string) bool {
				text, _ := os.ReadFile(file)
				return strings.Contains(string(text), part) && slices.ContainsFunc(regexp.MustCompile(`(?m)^func (Benchmark\w+)`).FindAllStringSubmatch(string(text), -1), func(m []string) bool {
					return wanted.MatchString(m[1])
				})
			}) {
				t.Errorf("%s: %s: there is no such benchmark", name, span)
			}
		}
	}
	if found < 5 {
		t.Errorf("%d benchmarks found, want more", found)
	}
}

// TestDocumentedSettings reads all settings in the documents as the daemon does: none has a
// fault. What is a scenario is played in TestDocumentedScenarios.
func TestDocumentedSettings(t *testing.T) {
	t.Setenv("TENCENTCLOUD_SECRET_ID", "AKIDschool")
	secrets := regexp.MustCompile(`file = "((?:/etc/pushwatch/|/run/credentials/pushwatch.service/)?)([^/"]+)"`)
	for _, b := range blocksOf(t, "toml") {
		if strings.Contains(b.text, "prepared_for") {
			continue
		}
		folder := t.TempDir()
		text := secrets.ReplaceAllStringFunc(b.text, func(secret string) string {
			name := secrets.FindStringSubmatch(secret)[2]
			content := map[string]string{
				"webhook-key": webhookSecret,
				"oncall-url":  "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
			}[name]
			if err := os.WriteFile(filepath.Join(folder, name), []byte(cmp.Or(content, "a-secret-of-some-length")), 0o600); err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("file = %q", filepath.Join(folder, name))
		})
		if !strings.Contains(text, "[[accounts]]") {
			text += "\n" + accountTable(testAccount(0), "http://127.0.0.1:1")
		}
		if !strings.Contains(text, "[[notifiers]]") {
			text += "\n" + notifierTable("classroom", "https://classroom.example", webhookSecret)
		}
		_, doc, err := readSettings(settingsFile(t, text))
		if err != nil {
			t.Errorf("%v: %v", b, err)
			continue
		}
		for _, w := range doc.sorted(true) {
			added := strings.HasPrefix(w.key, "accounts[0].secret") || strings.HasPrefix(w.key, "notifiers[0].secret") // above
			if local := strings.Contains(w.text, "http://127.0.0.1"); !added && !local {
				t.Errorf("%v: warning: %s", b, doc.print(w))
			}
		}
	}
	for _, b := range blocksOf(t, "ini") {
		for line := range strings.Lines(b.text) {
			key, _, _ := strings.Cut(line, "=")
			if line != "[Service]\n" && !strings.Contains("\n"+deployed(t, "systemd/pushwatch.service"), "\n"+key+"=") {
				t.Errorf("%v: %s is nothing that the unit sets", b, key)
			}
		}
	}
}

// TestDocumentedEvent holds the event that is shown to the fields that events have.
func TestDocumentedEvent(t *testing.T) {
	for _, b := range blocksOf(t, "json") {
		var data watcher.TaskData
		event := watcher.Envelope{Data: &data}
		d := json.NewDecoder(strings.NewReader(b.text))
		d.DisallowUnknownFields()
		if err := d.Decode(&event); err != nil {
			t.Fatalf("%v: %v", b, err)
		}
		var shown struct{ Data, Push map[string]any }
		if err := json.Unmarshal([]byte(b.text), &shown); err != nil {
			t.Fatal(err)
		}
		for name := range fieldsOf(reflect.TypeFor[watcher.TaskData](), "json") {
			if name == "previous_status" || name == "since" { // not of this type of event
				continue
			}
			if _, ok := shown.Data[name]; !ok {
				t.Errorf("%v: the event lacks data.%s", b, name)
			}
		}
	}
}

// fieldsOf are the names that a struct's fields have in a format.
func fieldsOf(structure reflect.Type, format string) map[string]reflect.Type {
	names := make(map[string]reflect.Type)
	for field := range structure.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get(format), ","); name != "" {
			names[name] = field.Type
		}
	}
	return names
}

// TestDocumentedEventTypes holds that the table of events has all types, and that no other
// is named anywhere.
func TestDocumentedEventTypes(t *testing.T) {
	_, prose := readDocument(t, useDoc)
	var listed []watcher.EventType
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:push|watcher|delivery|webhook)\\.\\w+)` \\|").FindAllStringSubmatch(prose, -1) {
		listed = append(listed, watcher.EventType(m[1]))
	}
	if !slices.Equal(listed, watcher.EventTypes) {
		t.Errorf("the table has the types %v, want %v", listed, watcher.EventTypes)
	}
	named := regexp.MustCompile(`^(push|watcher|delivery|webhook)\.(\w+)$`)
	for _, name := range documents {
		for _, span := range spansOf(t, name) {
			if named.MatchString(span) && !slices.Contains(watcher.EventTypes, watcher.EventType(span)) {
				t.Errorf("%s: %s is no type of event", name, span)
			}
		}
	}
}

// TestDocumentedAPI holds that the table of requests has all of them.
func TestDocumentedAPI(t *testing.T) {
	_, prose := readDocument(t, useDoc)
	var listed, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:GET|POST|PATCH|DELETE) /\\S+)` \\|").FindAllStringSubmatch(prose, -1) {
		listed = append(listed, m[1])
	}
	for route, methods := range describedAPI(t).Paths {
		for method := range methods {
			want = append(want, strings.ToUpper(method)+" "+route)
		}
	}
	slices.Sort(listed)
	slices.Sort(want)
	if !slices.Equal(listed, want) {
		t.Errorf("the table has\n%s\nwant\n%s", strings.Join(listed, "\n"), strings.Join(want, "\n"))
	}
}

// An apiDescription is what tests read of the OpenAPI document.
type apiDescription struct {
	Paths map[string]map[string]struct {
		Parameters []struct{ Name string }
	}
	Components struct {
		Schemas map[string]struct {
			Properties map[string]struct {
				Enum []any
			}
		}
	}
}

func describedAPI(t *testing.T) apiDescription {
	t.Helper()
	text, err := os.ReadFile("internal/web/testdata/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var d apiDescription
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDocumentedNames holds that what looks like the name of a setting, a field or a
// parameter is one.
func TestDocumentedNames(t *testing.T) {
	names := knownNames(t)
	simple := regexp.MustCompile(`^[a-z]+(_[a-z]+)+$`)
	dotted := regexp.MustCompile(`^(http|store|log|watch|heartbeat|accounts|notifiers|tasks|data)\.([a-z_]+)$`)
	for _, document := range documents {
		for _, span := range spansOf(t, document) {
			name, _, _ := strings.Cut(span, " = ")
			if (simple.MatchString(name) || dotted.MatchString(name)) && !names[name] && !strings.HasPrefix(name, "pushwatch_") { // see TestMetrics
				t.Errorf("%s names %s, which is no setting, field or parameter", document, name)
			}
		}
	}
}

// knownNames are those of settings, alone and with their table; of fields and parameters of
// the API, with their values; and of the data of events.
func knownNames(t *testing.T) map[string]bool {
	names := make(map[string]bool)
	var add func(table string, structure reflect.Type)
	add = func(table string, structure reflect.Type) {
		for name, kind := range fieldsOf(structure, "toml") {
			names[name], names[table+name] = true, true
			if kind.Kind() == reflect.Slice {
				kind = kind.Elem()
			}
			if kind.Kind() == reflect.Struct {
				add(name+".", kind)
			}
		}
	}
	add("", reflect.TypeFor[settings]())
	for _, data := range []reflect.Type{reflect.TypeFor[watcher.TaskData](), reflect.TypeFor[watcher.OutageData](), reflect.TypeFor[notify.Exhausted]()} {
		for name := range fieldsOf(data, "json") {
			names["data."+name] = true
		}
	}
	api := describedAPI(t)
	for _, methods := range api.Paths {
		for _, operation := range methods {
			for _, parameter := range operation.Parameters {
				names[parameter.Name] = true
			}
		}
	}
	for _, schema := range api.Components.Schemas {
		for name, property := range schema.Properties {
			names[name] = true
			for _, value := range property.Enum {
				names[fmt.Sprint(value)] = true
			}
		}
	}
	for _, section := range []reflect.Type{reflect.TypeFor[tiwsim.Config](), reflect.TypeFor[tiwsim.Life](), reflect.TypeFor[tiwsim.Fault]()} {
		for name := range fieldsOf(section, "toml") {
			names[name] = true
		}
	}
	names["mem_limit"], names["pg_dump"] = true, true // compose's and PostgreSQL's
	return names
}
