package page_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// demoPicture runs pushwatch demo in a terminal, and returns what that shows.
func demoPicture(t *testing.T, c *chrome) []byte {
	t.Helper()
	const flags = " demo --for 17s"
	// The terminal is that of script(1): only to one does the demo write in colors.
	said, err := exec.CommandContext(t.Context(), "script", "--quiet", "--return", "--command", "go run pushwatch/cmd/pushwatch"+flags, "/dev/null").CombinedOutput()
	if err != nil {
		t.Fatalf("pushwatch%s: %v\n%s", flags, err, said)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, terminal, screen("$ pushwatch"+flags+"\n"+string(said)))
	}))
	t.Cleanup(server.Close)
	tb := c.open(t, server.URL)
	const width = 860
	tb.size(width, 600)
	tb.goTo("/")
	tb.size(width, int(tb.eval("document.documentElement.scrollHeight").(float64)))
	return tb.picture()
}

// terminal is a page that looks like one.
const terminal = `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><style>
body { margin: 0; padding: 18px 22px; background: #13171c; }
pre { margin: 0; color: #e4e8ec; font: 13px/1.45 "DejaVu Sans Mono", "Noto Sans Mono", monospace; }
.c2 { color: #8994a0; } .c31 { color: #ff9d92; } .c32 { color: #7dd0a0; } .c33 { color: #edbd62; }
</style><pre>%s</pre>`

// code is an ANSI code of a color, or of its end.
var code = regexp.MustCompile(`\x1b\[(\d+)m`)

// screen is what a terminal shows of an output, as HTML.
func screen(output string) string {
	output = html.EscapeString(strings.ReplaceAll(output, "\r\n", "\n"))
	return code.ReplaceAllStringFunc(output, func(found string) string {
		if n := code.FindStringSubmatch(found)[1]; n != "0" {
			return `<span class="c` + n + `">`
		}
		return "</span>"
	})
}
