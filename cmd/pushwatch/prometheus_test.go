package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tcptest"
	"pushwatch/watcher/tiwsim"
)

// TestPrometheus has a Prometheus scrape a daemon, with the settings and alerts of
// deploy/prometheus: it finds no fault with any rule, and every query of the
// dashboard gets numbers.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	began := time.Now()
	address, token := watchLessons(t)
	p := startPrometheus(t, address, token)
	board := readDashboard(t)

	// What is chosen at the top of the dashboard.
	chosen := []string{"$__rate_interval", "5s"}
	want := map[string]string{"job": "pushwatch", "instance": address}
	for _, v := range board.Templating.List {
		if v.Type != "query" {
			continue
		}
		var definition struct{ Query string }
		if err := json.Unmarshal(v.Query, &definition); err != nil {
			t.Fatalf("variable %s: %v", v.Name, err)
		}
		query := strings.NewReplacer(chosen...).Replace(definition.Query)
		m := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(query)
		if m == nil {
			t.Fatalf("variable %s has the query %s, want label_values(METRIC, LABEL)", v.Name, query)
		}
		var values []string
		p.await(t, query, "/api/v1/label/"+m[2]+"/values", url.Values{"match[]": {m[1]}}, &values, func() bool { return len(values) > 0 })
		if len(values) != 1 || values[0] != want[v.Name] {
			t.Fatalf("variable %s = %q, want %q", v.Name, values, want[v.Name])
		}
		chosen = append(chosen, "$"+v.Name, strings.ReplaceAll(regexp.QuoteMeta(values[0]), `\`, `\\`)) // as Grafana writes it
	}

	for _, panel := range board.Panels {
		legends := make(map[string]bool)
		for _, target := range panel.Targets {
			query := strings.NewReplacer(chosen...).Replace(target.Expr)
			var answer struct {
				Result []struct {
					Metric map[string]string
					Values [][2]any // a time, and a number as text
				}
			}
			// None may stay empty: the lessons have something to show in every panel.
			p.await(t, panel.Title+": "+query, "/api/v1/query_range", url.Values{"query": {query}, "start": {seconds(began)}, "step": {"1"}}, &answer, func() bool {
				for _, series := range answer.Result {
					for _, v := range series.Values {
						if v[1] != "NaN" {
							return true
						}
					}
				}
				return false
			})
			for _, series := range answer.Result {
				legend := regexp.MustCompile(`{{(\w+)}}`).ReplaceAllStringFunc(target.LegendFormat, func(label string) string {
					value, found := series.Metric[strings.Trim(label, "{}")]
					if !found {
						t.Errorf("%s: the legend names %s, which %s does not give", panel.Title, label, query)
					}
					return value
				})
				if legends[legend] {
					t.Errorf("%s: two lines have the legend %q", panel.Title, legend)
				}
				legends[legend] = true
			}
		}
	}

	type rule struct{ Name, Health, LastError, State string }
	var found struct{ Groups []struct{ Rules []rule } }
	p.await(t, "an evaluation of each rule", "/api/v1/rules", nil, &found, func() bool {
		for _, g := range found.Groups {
			for _, r := range g.Rules {
				if r.Health == "unknown" {
					return false
				}
			}
		}
		return len(found.Groups) > 0
	})
	rules := 0
	for _, g := range found.Groups {
		for _, r := range g.Rules {
			if rules++; r.Health != "ok" || r.State == "firing" {
				t.Errorf("alert %s is %s, %s %s, want ok and not firing", r.Name, r.State, r.Health, r.LastError)
			}
		}
	}
	if want := len(alertQueries(t)); rules != want {
		t.Errorf("Prometheus has %d rules, want %d", rules, want)
	}
}

// watchLessons runs a daemon that sees one push after another stop, and tells a
// webhook of it. Its API wants the token in the file.
func watchLessons(t *testing.T) (address, token string) {
	const lessons = 60
	s := newScene(t, tiwsim.Config{Tasks: []tiwsim.Life{
		{SDKAppID: 1400000001, TaskID: "all-day", PreparedFor: tiwsim.Duration(time.Second)},
		{SDKAppID: 1400000001, TaskID: "lesson-{n}", Count: lessons, Spread: tiwsim.Duration(lessons * time.Second),
			PreparedFor: tiwsim.Duration(time.Nanosecond), PushingFor: tiwsim.Duration(time.Second)},
	}}, notifytest.Config{})
	token = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("a-token-of-some-length"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.settings = "watch.not_found_grace = \"1h\"\n" + s.settings + taskTables(s.scenario.Tasks...) +
		fmt.Sprintf("[[http.tokens]]\nname = \"prometheus\"\nsecret = { file = %q }\nrole = \"read\"\n", token)
	_, address = s.serve(t, sqliteURL(t))
	return address, token
}

// A prometheusServer runs for the time of a test.
type prometheusServer struct {
	*process
	address string
}

// startPrometheus starts one with the example's settings, but for where the daemon
// is and a livelier clock. Where none is installed the test is skipped, but never
// in the gate.
func startPrometheus(t *testing.T, daemon, token string) *prometheusServer {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("this test asks a Prometheus, such as Debian's, which is not installed")
	}
	alerts, err := filepath.Abs("../../deploy/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	settings := "global: {evaluation_interval: 1s}\n" + deployed(t, "prometheus/scrape.example.yaml")
	for _, change := range [][2]string{
		{"[alerts.yaml]", "[" + alerts + "]"}, {"interval: 15s", "interval: 1s"}, {"/etc/prometheus/pushwatch-token", token}, {"127.0.0.1:8465", daemon},
	} {
		if strings.Count(settings, change[0]) != 1 {
			t.Fatalf("%s stands not once in scrape.example.yaml", change[0])
		}
		settings = strings.Replace(settings, change[0], change[1], 1)
	}
	file := filepath.Join(t.TempDir(), "prometheus.yaml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &prometheusServer{address: tcptest.Unused(t)}
	p.process = start(t, exec.Command(path, "--config.file", file, "--storage.tsdb.path", t.TempDir(), "--web.listen-address", p.address))
	return p
}

// await asks Prometheus until its answer, which data is made of, is right.
func (p *prometheusServer) await(t *testing.T, what, path string, query url.Values, data any, right func() bool) {
	t.Helper()
	last := "nothing"
	for deadline := time.Now().Add(hang); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if query.Has("start") {
			query.Set("end", seconds(time.Now()))
		}
		answer, err := http.Get("http://" + p.address + path + "?" + query.Encode())
		if err != nil {
			last = err.Error() // not yet up
			continue
		}
		body := struct {
			Status, Error string
			Data          any
		}{Data: data}
		err = json.NewDecoder(answer.Body).Decode(&body)
		answer.Body.Close()
		if last = cmp.Or(body.Error, answer.Status); answer.StatusCode == http.StatusBadRequest || answer.StatusCode == http.StatusUnprocessableEntity {
			t.Errorf("%s: %s", what, last) // a faulty query
			return
		}
		if err == nil && body.Status == "success" && right() {
			return
		}
	}
	t.Errorf("%s: no data: %s\n%s", what, last, p.log)
}

// seconds is a time as Prometheus takes it.
func seconds(t time.Time) string { return fmt.Sprintf("%.3f", float64(t.UnixMilli())/1000) }
