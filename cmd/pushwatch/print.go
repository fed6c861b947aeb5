package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// show sends a request as ask does, and prints the answer as JSON or, by default, as table
// does.
func show[T any](ctx context.Context, c *client, method, path string, body any, property string, table func(w io.Writer, v T)) error {
	answer, err := c.ask(ctx, method, path, body, property)
	if err != nil {
		return err
	}
	if c.output == "json" {
		var b bytes.Buffer
		if err := json.Indent(&b, answer, "", "  "); err != nil {
			return err
		}
		_, err := fmt.Fprintln(c.out, b.String())
		return err
	}
	v, err := decodeAnswer[T](c, answer)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	table(w, v)
	return w.Flush()
}

// decodeAnswer decodes an answer, or a part of one.
func decodeAnswer[T any](c *client, answer json.RawMessage) (v T, err error) {
	if err := json.Unmarshal(answer, &v); err != nil {
		return v, fmt.Errorf("read the answer of %s: %w", c.server, err)
	}
	return v, nil
}

// list prints the items of a list: one JSON object per line, or a table. items is the name of
// the list in the answer. A limit of 0 is none; a nil query is for a list without pages.
func list[T any](ctx context.Context, c *client, path, items string, query url.Values, limit int, heading string, row func(T) string) error {
	if limit < 0 {
		return usagef("--limit %d: want a positive number, or 0 for all", limit)
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	if c.output == "table" {
		fmt.Fprintln(w, heading)
	}
	for page, err := range c.pages(ctx, path, items, query, limit) {
		if err != nil {
			return err
		}
		for _, item := range page {
			if c.output == "json" {
				fmt.Fprintln(w, string(item))
				continue
			}
			v, err := decodeAnswer[T](c, item)
			if err != nil {
				return err
			}
			fmt.Fprintln(w, oneLine(row(v)))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// pages reads the pages of a list, up to a number of items; 0: all. An error is the last.
func (c *client) pages(ctx context.Context, path, items string, query url.Values, limit int) iter.Seq2[[]json.RawMessage, error] {
	const most = 500 // items per page
	return func(yield func([]json.RawMessage, error) bool) {
		for left := limit; ; {
			size := most
			if limit > 0 {
				size = min(most, left)
			}
			if query != nil {
				query.Set("limit", fmt.Sprint(size))
			}
			page, after, err := c.page(ctx, path, items, query, size)
			left -= len(page)
			if !yield(page, err) || after == nil || limit > 0 && left <= 0 {
				return
			}
			maps.Copy(query, after)
		}
	}
}

// page reads a page of a list. after is to be added to the query for the next page; nil:
// this is the last one. Of events, the first page that is not full is the last.
func (c *client) page(ctx context.Context, path, items string, query url.Values, size int) (page []json.RawMessage, after url.Values, err error) {
	text, err := c.ask(ctx, http.MethodGet, path+"?"+query.Encode(), nil, items)
	if err != nil {
		return nil, nil, err
	}
	answer, err := decodeAnswer[map[string]json.RawMessage](c, text)
	if err != nil {
		return nil, nil, err
	}
	if page, err = decodeAnswer[[]json.RawMessage](c, answer[items]); err != nil {
		return nil, nil, err
	}
	cursors, err := decodeAnswer[struct {
		Cursor     string `json:"cursor"`
		NextCursor string `json:"next_cursor"`
	}](c, text)
	switch {
	case cursors.NextCursor != "":
		after = url.Values{"cursor": {cursors.NextCursor}}
	case cursors.Cursor != "" && len(page) == size:
		after = url.Values{"after": {cursors.Cursor}}
	}
	return page, after, err
}

// flagQuery returns a query of those flags that have a value.
func flagQuery(cmd *cobra.Command, names ...string) url.Values {
	query := url.Values{}
	for _, name := range names {
		if value := cmd.Flag(name).Value.String(); value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// timeFlag reads the value of a flag: an RFC 3339 time, or a duration, which at converts
// to a time. An empty value is nil.
func timeFlag(name, value string, at func(time.Duration) time.Time) (*time.Time, error) {
	if value == "" {
		return nil, nil
	}
	if d, err := time.ParseDuration(value); err == nil {
		return new(at(d).UTC().Truncate(time.Second)), nil
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return nil, usagef("--%s %s: want a duration such as 90m, or a time such as 2026-11-22T19:00:00Z", name, value)
	}
	return &t, nil
}

// orZero returns *p; the zero value if p is nil.
func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// oneLine replaces control characters, so that a text cannot control the terminal. It
// keeps tabs, which separate columns.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
}

// short cuts a text so that it fits into a table; "-" if it is empty.
func short(s string) string {
	const width = 50
	if runes := []rune(s); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return cmp.Or(s, "-")
}

// ago formats a time relative to now: "12s ago", "in 3m0s", "-" for none.
func ago(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	d := time.Since(*t)
	if d < 0 {
		return "in " + age(-d)
	}
	return age(d) + " ago"
}

// age formats a duration to the second, from an hour on to the minute.
func age(d time.Duration) string {
	if d > time.Hour {
		return d.Round(time.Minute).String()
	}
	return d.Round(time.Second).String()
}
