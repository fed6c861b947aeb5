package sqlstore

import (
	"database/sql"
	"reflect"
	"testing"
)

func TestBind(t *testing.T) {
	t.Parallel()
	const query = `UPDATE t SET a = ? WHERE (b, c) IN (VALUES (?, ?))`
	for _, test := range []struct {
		postgres bool
		want     string
	}{{false, query}, {true, `UPDATE t SET a = $1 WHERE (b, c) IN (VALUES ($2, $3))`}} {
		db := &DB{postgres: test.postgres}
		if got := db.bind(query); got != test.want {
			t.Errorf("bind(%s) on postgres=%t = %s, want %s", query, test.postgres, got, test.want)
		}
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rows  int
		types []string
		want  string
	}{
		{1, []string{"TEXT"}, "(CAST(? AS TEXT))"},
		{3, []string{"BIGINT", "TEXT"}, "(CAST(? AS BIGINT), CAST(? AS TEXT)), (?, ?), (?, ?)"},
	} {
		if got := values(test.rows, test.types...); got != test.want {
			t.Errorf("values(%d, %v) = %s, want %s", test.rows, test.types, got, test.want)
		}
	}
}

func TestTypesOf(t *testing.T) {
	t.Parallel()
	row := []any{int64(1), "a", 1, moment{}, sql.Null[string]{}, sql.Null[int64]{}}
	if got, want := typesOf(row), []string{"BIGINT", "TEXT", "BIGINT", "BIGINT", "TEXT", "BIGINT"}; !reflect.DeepEqual(got, want) {
		t.Errorf("typesOf(%v) = %q, want %q", row, got, want)
	}
}

func TestRounds(t *testing.T) {
	t.Parallel()
	key := func(s string) byte { return s[0] }
	in := []string{"a1", "b1", "a2", "c1", "a3", "b2"}
	want := [][]string{{"a1", "b1", "c1"}, {"a2", "b2"}, {"a3"}}
	if got := rounds(in, key); !reflect.DeepEqual(got, want) {
		t.Errorf("rounds(%v) = %v, want %v", in, got, want)
	}
	if got := rounds(nil, key); got != nil {
		t.Errorf("rounds(nil) = %v, want nil", got)
	}
}
