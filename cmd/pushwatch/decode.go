package main

import (
	"bytes"
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"pushwatch/watcher/setting"
)

// A fault is an error in a settings file, or a warning about it.
type fault struct {
	key     string // such as "accounts[0].region"; empty: the file as a whole
	text    string // follows the key: "= 25: want …"
	pos     unstable.Position
	warning bool
}

// A document decodes a TOML file into a struct. Unlike the TOML library's own decoder it
// continues after a fault, so that all are reported at once.
type document struct {
	file      string
	folder    string                       // at which its relative paths begin
	positions map[string]unstable.Position // of each key; nil: the file is not TOML
	faults    []fault
	decoded   int // the number of faults found by decode; checks add more
}

// A defaulter is a struct in a list that has defaults. They are set before it is decoded,
// so that any written value, zero included, replaces its default.
type defaulter interface{ setDefaults() }

// decode decodes TOML text into the struct that into points to. Keys are the fields' toml
// tags; a key without a field is a fault. A field with a fault keeps its value. Paths, which
// are the files of secrets and what has a key that ends with _file, begin at the folder of
// the file itself.
func decode(file string, text []byte, into any) *document {
	d := &document{file: file}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // the byte order mark that editors on Windows add
	var tree map[string]any
	var err error
	if d.folder, err = filepath.Abs(filepath.Dir(file)); err == nil {
		err = toml.Unmarshal(text, &tree)
	}
	if err != nil {
		f := fault{text: err.Error()}
		if e, ok := errors.AsType[*toml.DecodeError](err); ok {
			f.pos.Line, f.pos.Column = e.Position()
			f.text = strings.TrimPrefix(e.Error(), "toml: ")
		}
		d.faults = append(d.faults, f)
		return d
	}
	d.positions = make(map[string]unstable.Position)
	d.locate(text)
	d.table("", tree, reflect.ValueOf(into).Elem())
	d.decoded = len(d.faults)
	return d
}

// fault adds a fault of a key. The text says what was given and what would be right.
func (d *document) fault(key, format string, args ...any) {
	d.add(fault{key: key, text: fmt.Sprintf(format, args...)})
}

// require adds a fault of a key unless what must hold does.
func (d *document) require(holds bool, key, format string, args ...any) {
	if !holds {
		d.fault(key, format, args...)
	}
}

func (d *document) warn(key, format string, args ...any) {
	d.add(fault{key: key, text: fmt.Sprintf(format, args...), warning: true})
}

// faultIn adds a fault from a package's own check, whose text begins with a key of the
// table: "url: …", "timeout = 0: …".
func (d *document) faultIn(table string, err error) {
	key, text := splitKey(err.Error())
	d.add(fault{key: join(table, key), text: text})
}

// splitKey splits a fault's text after its key.
func splitKey(text string) (key, rest string) {
	end := strings.IndexAny(text, ": ")
	if end < 0 {
		return text, ""
	}
	return text[:end], strings.TrimPrefix(text[end:], " ")
}

// add adds a fault with its position: that of its key or of the closest table around it.
// A key that could not be decoded gets no second fault.
func (d *document) add(f fault) {
	for _, found := range d.faults[:d.decoded] {
		if found.key == f.key || strings.HasPrefix(found.key, f.key+"[") || strings.HasPrefix(found.key, f.key+".") && f.key != "" {
			return
		}
	}
	for key := f.key; key != ""; key = parent(key) {
		if pos, ok := d.positions[key]; ok {
			f.pos = pos
			break
		}
	}
	d.faults = append(d.faults, f)
}

// parent returns the key of the table or array that contains key.
func parent(key string) string {
	return key[:max(0, strings.LastIndexAny(key, ".["))]
}

// print formats a fault as one line, in the style of compilers.
func (d *document) print(f fault) string {
	var b strings.Builder
	b.WriteString(d.file)
	if f.pos.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.pos.Line, f.pos.Column)
	}
	b.WriteString(": ")
	if f.warning {
		b.WriteString("warning: ")
	}
	b.WriteString(f.key)
	if f.key != "" && !strings.HasPrefix(f.text, ":") {
		b.WriteString(" ")
	}
	b.WriteString(f.text)
	return b.String()
}

// err returns a [settingsError] if there are faults.
func (d *document) err() error {
	if len(d.sorted(false)) == 0 {
		return nil
	}
	return &settingsError{d}
}

// sorted returns the faults, or the warnings, in the order of the file.
func (d *document) sorted(warnings bool) []fault {
	out := slices.DeleteFunc(slices.Clone(d.faults), func(f fault) bool { return f.warning != warnings })
	slices.SortStableFunc(out, func(a, b fault) int {
		return cmp.Or(cmp.Compare(a.pos.Line, b.pos.Line), cmp.Compare(a.pos.Column, b.pos.Column))
	})
	return out
}

// table decodes a TOML table into a struct.
func (d *document) table(prefix string, tree map[string]any, into reflect.Value) {
	fields := make(map[string]reflect.Value)
	for field, value := range into.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("toml"), ",")
		fields[name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		key := join(prefix, name)
		if field, ok := fields[name]; ok && name != "" {
			d.value(key, tree[name], field)
			continue
		}
		d.fault(key, "is not a setting: want one of %s", strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
	}
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// value decodes one TOML value.
func (d *document) value(key string, v any, into reflect.Value) {
	switch secret := into.Addr().Interface().(type) {
	case *setting.Secret:
		d.secret(key, v, secret)
		return
	case *storeURL:
		secret.folder = d.folder
		d.secret(key, v, &secret.Secret)
		return
	}
	if u, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok {
		text, isText := v.(string)
		if !isText {
			d.fault(key, `%s: want text, such as "90s"`, given(v))
		} else if err := u.UnmarshalText([]byte(text)); err != nil {
			d.fault(key, "%s: %v", given(text), err)
		}
		return
	}
	switch into.Kind() {
	case reflect.Pointer:
		target := reflect.New(into.Type().Elem())
		d.value(key, v, target.Elem())
		into.Set(target)
	case reflect.Struct:
		if tree, ok := d.asTable(key, v); ok {
			d.table(key, tree, into)
		}
	case reflect.Slice:
		items, ok := v.([]any)
		if !ok {
			d.fault(key, "is %s: want a list%s", kind(v), listHint(key, into.Type().Elem()))
			return
		}
		list := reflect.MakeSlice(into.Type(), len(items), len(items))
		for i, item := range items {
			if element, ok := list.Index(i).Addr().Interface().(defaulter); ok {
				element.setDefaults()
			}
			d.value(fmt.Sprintf("%s[%d]", key, i), item, list.Index(i))
		}
		into.Set(list)
	case reflect.Map:
		tree, ok := d.asTable(key, v)
		if !ok {
			return
		}
		m := reflect.MakeMap(into.Type())
		for name, item := range tree {
			element := reflect.New(into.Type().Elem()).Elem()
			d.value(join(key, name), item, element)
			m.SetMapIndex(reflect.ValueOf(name), element)
		}
		into.Set(m)
	default:
		d.scalar(key, v, into)
	}
}

func (d *document) asTable(key string, v any) (map[string]any, bool) {
	tree, ok := v.(map[string]any)
	if !ok {
		d.fault(key, "is %s: want a table", kind(v))
	}
	return tree, ok
}

func (d *document) scalar(key string, v any, into reflect.Value) {
	from := reflect.ValueOf(v)
	switch {
	case from.CanInt() && into.CanInt() && !into.OverflowInt(from.Int()):
		into.SetInt(from.Int())
	case from.CanInt() && into.CanFloat():
		into.SetFloat(float64(from.Int()))
	case from.CanFloat() && into.CanFloat() && !math.IsNaN(from.Float()) && !math.IsInf(from.Float(), 0):
		into.SetFloat(from.Float())
	case from.Kind() == reflect.Bool && into.Kind() == reflect.Bool:
		into.SetBool(from.Bool())
	case from.Kind() == reflect.String && into.Kind() == reflect.String && strings.HasSuffix(key, "_file"):
		into.SetString(d.absolute(from.String()))
	case from.Kind() == reflect.String && into.Kind() == reflect.String:
		into.SetString(from.String())
	default:
		want := map[reflect.Kind]string{reflect.String: "text in quotes", reflect.Bool: "true or false", reflect.Float64: "a number"}[into.Kind()]
		d.fault(key, "%s: want %s", given(v), cmp.Or(want, "a whole number"))
	}
}

// secret decodes a secret in any of its three forms. Its value is never shown.
func (d *document) secret(key string, v any, into *setting.Secret) {
	switch v := v.(type) {
	case string:
		*into = setting.Plain(v)
		return
	case map[string]any:
		file, hasFile := v["file"].(string)
		env, hasEnv := v["env"].(string)
		switch {
		case len(v) == 1 && hasFile && file != "":
			*into = setting.File(d.absolute(file))
			return
		case len(v) == 1 && hasEnv && env != "":
			*into = setting.Env(env)
			return
		}
	}
	d.fault(key, `is not a secret: want { file = "/path" }, { env = "NAME" } or text in quotes`)
}

// absolute returns a path of the document as an absolute one; empty: there is none.
func (d *document) absolute(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(d.folder, path)
}

// given describes the value of a setting, shortened. A list or table may hold secrets, so
// only its kind is named.
func given(v any) string {
	switch v := v.(type) {
	case []any, map[string]any:
		return "is " + kind(v)
	case string:
		return "= " + shortened(fmt.Sprintf("%q", v))
	default:
		return "= " + shortened(fmt.Sprint(v))
	}
}

func shortened(text string) string {
	if len(text) > 60 {
		text = text[:60] + "…"
	}
	return text
}

// kind names the kind of a value and shows nothing of it: in place of a list or table it
// may be the secret that belongs in there.
func kind(v any) string {
	switch v.(type) {
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	case string:
		return "text"
	case bool:
		return "true or false"
	case int64, float64:
		return "a number"
	default:
		return "a time"
	}
}

// listHint shows how to write a list of tables.
func listHint(key string, element reflect.Type) string {
	if element.Kind() != reflect.Struct || element == reflect.TypeFor[setting.Secret]() {
		return ""
	}
	return " of tables, [[" + key + "]]"
}

// locate records the position of each key. The text must be valid TOML.
func (d *document) locate(text []byte) {
	var p unstable.Parser
	p.Reset(text)
	prefix := ""
	counts := make(map[string]int) // the tables so far, by array of tables
	for p.NextExpression() {
		e := p.Expression()
		key, pos := d.key(&p, e, prefix, counts)
		switch e.Kind {
		case unstable.KeyValue:
			d.positions[key] = pos
			d.locateWithin(&p, e.Value(), key)
		case unstable.Table:
			prefix = key
			d.positions[key] = pos
		case unstable.ArrayTable:
			prefix = fmt.Sprintf("%s[%d]", key, counts[key])
			counts[key]++
			d.positions[prefix] = pos
		}
	}
}

// locateWithin records the positions of the keys of inline tables and of the elements of
// lists. key is the value's key.
func (d *document) locateWithin(p *unstable.Parser, value *unstable.Node, key string) {
	i := 0
	for it := value.Children(); it.Next(); {
		child := it.Node()
		switch {
		case child.Kind == unstable.Comment:
		case value.Kind == unstable.Array:
			element := fmt.Sprintf("%s[%d]", key, i)
			if child.Raw.Length > 0 { // a list within a list has none
				d.positions[element] = p.Shape(child.Raw).Start
			}
			d.locateWithin(p, child, element)
			i++
		case value.Kind == unstable.InlineTable:
			name, pos := d.key(p, child, key, nil)
			d.positions[name] = pos
			d.locateWithin(p, child.Value(), name)
		}
	}
}

// key returns the full key of an expression and its position. A table within an array of
// tables belongs to the array's last element.
func (d *document) key(p *unstable.Parser, e *unstable.Node, prefix string, counts map[string]int) (string, unstable.Position) {
	key := ""
	if e.Kind == unstable.KeyValue {
		key = prefix
	}
	var pos unstable.Position
	for it := e.Key(); it.Next(); {
		part := it.Node()
		if pos.Line == 0 {
			pos = p.Shape(part.Raw).Start
		}
		key = join(key, string(part.Data))
		if n := counts[key]; n > 0 && !(it.IsLast() && e.Kind == unstable.ArrayTable) {
			key = fmt.Sprintf("%s[%d]", key, n-1)
		}
	}
	return key, pos
}
