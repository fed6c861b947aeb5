package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tiwsim"
)

// metricLabels are the metrics that users were told of, and their labels.
var metricLabels = map[string][]string{
	"pushwatch_polls_total":             {"account", "result"},
	"pushwatch_poll_seconds":            {"account"},
	"pushwatch_tasks":                   {"account", "state"},
	"pushwatch_events_total":            {"type"},
	"pushwatch_detection_seconds":       nil,
	"pushwatch_staleness_seconds":       {"account"},
	"pushwatch_rate_limit":              {"account"},
	"pushwatch_blind":                   {"account"},
	"pushwatch_blind_pushes":            {"account"},
	"pushwatch_tasks_unobserved":        {"account"},
	"pushwatch_delivery_attempts_total": {"notifier", "result"},
	"pushwatch_deliveries_total":        {"notifier", "outcome"},
	"pushwatch_delivery_seconds":        {"notifier"},
	"pushwatch_deliveries_pending":      {"notifier"},
	"pushwatch_deliveries_dead":         {"notifier"},
	"pushwatch_oldest_pending_seconds":  {"notifier"},
	"pushwatch_log_lines_lost_total":    nil,
	"pushwatch_build_info":              {"version", "commit", "go"},
}

// TestMetrics scrapes a daemon that has seen a push stop and told a webhook of it,
// and holds what it shows to what users, alerts and the dashboard go by.
func TestMetrics(t *testing.T) {
	t.Parallel()
	scraped := scrape(t)
	for name, want := range metricLabels {
		family := scraped[name]
		if len(family) == 0 {
			t.Errorf("there is no metric %s", name)
			continue
		}
		for _, series := range family {
			got := slices.DeleteFunc(slices.Sorted(maps.Keys(series)), func(label string) bool { return label == "le" })
			if slices.Sort(want); !slices.Equal(got, want) {
				t.Errorf("%s has the labels %v, want %v", name, got, want)
				break
			}
		}
	}
	if results := valuesOf(scraped["pushwatch_polls_total"], "result"); !slices.Equal(results, []string{"denied", "ok", "task_error", "throttled", "transient"}) {
		t.Errorf("pushwatch_polls_total has the results %v", results)
	}
	for name, family := range scraped {
		for _, series := range family {
			for label, value := range series {
				if strings.Contains(value, "lesson") || strings.Contains(value, "127.0.0.1") || strings.Contains(value, "hush") || strings.Contains(value, "140000") {
					t.Errorf("%s{%s=%q} shows what no label should", name, label, value)
				}
			}
		}
	}
	holdDocuments(t, scraped)
	for file, queries := range map[string][]string{
		"alerts.yaml": alertQueries(t), "pushwatch.json": dashboardQueries(t),
	} {
		for _, query := range queries {
			for _, use := range regexp.MustCompile(`(pushwatch_[a-z_]+)(?:\{([^}]*)\})?`).FindAllStringSubmatch(query, -1) {
				holdUse(t, file, scraped, use[1], use[2])
			}
		}
	}
}

// holdDocuments holds that the metrics that the documents name exist, with the labels they
// show, and that the handbook lists all there are.
func holdDocuments(t *testing.T, scraped map[string][]map[string]string) {
	t.Helper()
	named := regexp.MustCompile(`^(pushwatch_[a-z_]+)(?:\{([a-z_,]+)\})?$`)
	listed := make(map[string]bool)
	for _, document := range documents {
		for _, span := range spansOf(t, document) {
			m := named.FindStringSubmatch(span)
			if m == nil {
				continue
			}
			if document == operateDoc {
				listed[m[1]] = true
			}
			family := scraped[m[1]]
			if len(family) == 0 {
				t.Errorf("%s names %s, which does not exist", document, m[1])
				continue
			}
			if want := strings.Split(m[2], ","); m[2] != "" && !slices.ContainsFunc(family, func(series map[string]string) bool {
				return !slices.ContainsFunc(want, func(label string) bool { _, ok := series[label]; return !ok })
			}) {
				t.Errorf("%s names %s, whose labels are %v", document, span, slices.Sorted(maps.Keys(family[0])))
			}
		}
	}
	for name := range scraped {
		if !listed[name] {
			t.Errorf("%s does not list %s", operateDoc, name)
		}
	}
}

// holdUse holds that a metric exists that a query in a file uses, with the values
// of labels that it asks for.
func holdUse(t *testing.T, file string, scraped map[string][]map[string]string, name, matchers string) {
	t.Helper()
	family := scraped[histogramOf(name)]
	if len(family) == 0 {
		t.Errorf("%s uses %s, which does not exist", file, name)
		return
	}
	for _, m := range regexp.MustCompile(`(\w+)=~?"([^"$]*)"`).FindAllStringSubmatch(matchers, -1) { // $: chosen in the dashboard
		for value := range strings.SplitSeq(m[2], "|") {
			if !slices.Contains(valuesOf(family, m[1]), value) {
				t.Errorf("%s uses %s{%s=%q}, which does not exist", file, name, m[1], value)
			}
		}
	}
}

// scrape runs a daemon and returns the labels of all series of its metrics, by the
// name of the metric.
func scrape(t *testing.T) map[string][]map[string]string {
	s := newScene(t, tiwsim.Config{
		Accounts: []tiwsim.Account{{Name: "school", SecretID: "AKIDhush", SecretKey: "hush", SDKAppIDs: []int64{1400000001}}},
		Tasks: []tiwsim.Life{{SDKAppID: 1400000001, TaskID: "lesson", PreparedFor: tiwsim.Duration(time.Nanosecond), PushingFor: tiwsim.Duration(time.Second),
			Faults: []tiwsim.Fault{{Kind: "fields", Fields: map[string]string{"RoomId": `"odd"`}}}}},
	}, notifytest.Config{})
	s.settings = strings.NewReplacer(s.webhook, s.webhook+"/hush", `["*"]`, `["push.stopped"]`).Replace(s.settings) + taskTables(s.scenario.Tasks...)
	p, address := s.serve(t, sqliteURL(t))
	awaitEvents(t, p, s.receiver, 1)
	answer, err := http.Post("http://"+address+"/v1/callbacks/tiw/1400000001", "application/json", strings.NewReader(`{"SdkAppId":1400000001,"EventType":"WhiteboardPushStopped","EventData":{"TaskId":"lesson"}}`))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	all := make(map[string][]map[string]string)
	for _, line := range regexp.MustCompile(`(?m)^(pushwatch_\w+)(?:\{(.*)\})? `).FindAllStringSubmatch(fetch(t, address, "/metrics"), -1) {
		labels := make(map[string]string)
		for _, l := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(line[2], -1) {
			labels[l[1]] = l[2]
		}
		all[histogramOf(line[1])] = append(all[histogramOf(line[1])], labels)
	}
	return all
}

// histogramOf is the name of a metric without what stands for a part of it.
func histogramOf(name string) string {
	return regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
}

// valuesOf are the values of a label, sorted.
func valuesOf(family []map[string]string, label string) []string {
	var all []string
	for _, series := range family {
		all = append(all, series[label])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// alertFile reads the alerts.
func alertFile(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// alertQueries are the expressions of the alerts.
func alertQueries(t *testing.T) []string {
	t.Helper()
	queries := regexp.MustCompile(`(?s)expr: (.*?)\n {8}\w`).FindAllString(alertFile(t), -1)
	if n := strings.Count(alertFile(t), "- alert: "); len(queries) != n || n == 0 {
		t.Fatalf("%d expressions of %d alerts found", len(queries), n)
	}
	return queries
}

// A dashboard is what tests hold of Grafana's: its panels, and what can be chosen.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr, LegendFormat string }
	}
	Templating struct {
		List []struct {
			Name, Type string
			Query      json.RawMessage // a text, or an object that holds it
		}
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(deployed(t, "grafana/pushwatch.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// dashboardQueries are the expressions of the dashboard.
func dashboardQueries(t *testing.T) []string {
	t.Helper()
	var queries []string
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			if target.Expr == "" {
				t.Errorf("panel %s has a target without an expression", panel.Title)
			}
			queries = append(queries, target.Expr)
		}
	}
	if len(queries) < 15 {
		t.Fatalf("%d expressions found in the dashboard: %s", len(queries), queries)
	}
	return queries
}

// TestRunbook holds that each alert leads to an entry of its own, with what it
// means, what to look at and what to do, and that there are no others.
func TestRunbook(t *testing.T) {
	_, text := readDocument(t, operateDoc)
	_, runbook, found := strings.Cut(text, "\n## When an alert is raised\n")
	if !found {
		t.Fatal("deploy/README.md has no chapter on alerts")
	}
	runbook, _, _ = strings.Cut(runbook, "\n## ")
	entries := make(map[string]string)
	for _, entry := range strings.Split(runbook, "\n### ")[1:] {
		name, body, _ := strings.Cut(entry, "\n")
		entries[name] = body
	}
	for _, alert := range regexp.MustCompile(`(?s)- alert: (\w+)\n.*?runbook_url: (\S+)`).FindAllStringSubmatch(alertFile(t), -1) {
		name, url := alert[1], alert[2]
		if want := "deploy/README.md#" + strings.ToLower(name); url != want {
			t.Errorf("alert %s has the runbook_url %s, want %s", name, url, want)
		}
		for _, part := range []string{"**Means:**", "**Look:**", "**Do:**"} {
			if !strings.Contains(entries[name], part) {
				t.Errorf("the runbook's entry %s lacks %s", name, part)
			}
		}
		delete(entries, name)
	}
	for name := range entries {
		t.Errorf("the runbook has an entry %s, for which there is no alert", name)
	}
}
