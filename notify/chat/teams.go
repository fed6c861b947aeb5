package chat

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/transport"
)

// teamsBytes is the longest text for Teams. The limit is 28 KB for the whole message.
const teamsBytes = 20_000

// teams is Microsoft Teams through the older connectors, "Incoming Webhook"
// (https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using).
var teams = &service{
	names: []string{"teams"},
	style: style{limit: teamsBytes, length: inBytes},
	own: func(u *url.URL) *post {
		connector := strings.HasSuffix(u.Host, ".webhook.office.com") && strings.HasPrefix(u.Path, "/webhookb2/")
		if !connector && !(u.Host == "outlook.office.com" && strings.HasPrefix(u.Path, "/webhook/")) {
			return nil
		}
		query := u.Query()
		to := *u
		to.RawQuery = ""
		return teamsPost(&to, query)
	},
	parse: parseTeams,
	judge: judgeTeams,
}

var teamsHost = regexp.MustCompile(`^[a-zA-Z0-9-]+\.webhook\.office\.com$`)

// parseTeams reads "teams://GROUP@TENANT/ID/OWNER/EXTRA?host=SCHOOL.webhook.office.com".
func parseTeams(u *url.URL) (*post, error) {
	query, err := parameters(u, "host", "title", "color")
	if err != nil {
		return nil, err
	}
	path := strings.Split(strings.TrimPrefix(u.Path, "/"), "/")
	host := query.Get("host")
	if len(path) < 3 || path[2] == "" || !teamsHost.MatchString(host) {
		return nil, errForm
	}
	for part, length := range map[string]int{u.User.Username(): 36, u.Hostname(): 36, path[0]: 32, path[1]: 36} {
		if part != "" && len(part) != length {
			return nil, errForm
		}
	}
	to := &url.URL{Scheme: "https", Host: host, Path: "/webhookb2/" + u.User.Username() + "@" + u.Hostname() + "/IncomingWebhook/" + strings.Join(path[:3], "/")}
	return teamsPost(to, query), nil
}

// teamsPost returns a post of a MessageCard with Markdown turned off.
func teamsPost(u *url.URL, query url.Values) *post {
	type section struct {
		Text     string `json:"text"`
		Markdown bool   `json:"markdown"`
	}
	return &post{url: u, hidden: words(u.String()), payload: func(text string, _ time.Time) any {
		first, _, _ := strings.Cut(text, "\n")
		card := struct {
			Type       string    `json:"@type"`
			Context    string    `json:"@context"`
			Summary    string    `json:"summary"`
			Title      string    `json:"title,omitempty"`
			ThemeColor string    `json:"themeColor,omitempty"`
			Sections   []section `json:"sections"`
		}{Type: "MessageCard", Context: "https://schema.org/extensions", Summary: first, Title: query.Get("title"), ThemeColor: query.Get("color")}
		for line := range strings.SplitSeq(text, "\n") {
			card.Sections = append(card.Sections, section{Text: line})
		}
		return card
	}}
}

// teamsFailure finds the status that Teams returned to the connector. The connector passes
// it on in the body, with status 200.
var teamsFailure = regexp.MustCompile(`HTTP error (\d{3})`)

// judgeTeams: success is 200 and "1". Any other text is a refusal.
func judgeTeams(a *transport.Answer) verdict {
	text := strings.TrimSpace(string(a.Body))
	if a.Status == http.StatusOK && text == "1" {
		return verdict{accepted: true}
	}
	return teamsRefusal(a, text)
}

// teamsRefusal returns the verdict for a text other than success.
func teamsRefusal(a *transport.Answer, text string) verdict {
	if isPage(a.Body) {
		return verdict{}
	}
	v := verdict{says: text, final: permanent(a.Status)}
	if found := teamsFailure.FindStringSubmatch(text); found != nil {
		status, _ := strconv.Atoi(found[1])
		v.cause, v.final = notify.StatusCause(status), permanent(status)
	}
	return v
}

// teamsWorkflow is Microsoft Teams through a workflow, "Post to a channel when a webhook
// request is received" (https://support.microsoft.com/office/8ae491c7-0394-4861-ba59-055e33f75498).
var teamsWorkflow = &service{
	names: []string{"teams"},
	style: style{limit: teamsBytes, length: inBytes},
	own: func(u *url.URL) *post {
		host := u.Hostname()
		logic := strings.HasSuffix(host, ".logic.azure.com") || strings.HasSuffix(host, ".logic.azure.us") || strings.HasSuffix(host, ".logic.azure.cn")
		platform := strings.HasSuffix(host, ".powerplatform.com") || strings.HasSuffix(host, ".powerplatform.us")
		if !logic && !platform || !strings.Contains(u.Path, "/workflows/") {
			return nil
		}
		return &post{url: u, hidden: words(u.String()), payload: adaptiveCard}
	},
	judge: judgeWorkflow,
}

// adaptiveCard returns a text as an Adaptive Card made of text runs, which unlike text
// blocks are never Markdown (https://adaptivecards.io/explorer/TextRun.html).
func adaptiveCard(text string, _ time.Time) any {
	type run struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	type block struct {
		Type    string `json:"type"`
		Inlines []run  `json:"inlines"`
	}
	var lines []block
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, block{"RichTextBlock", []run{{"TextRun", line}}})
	}
	return map[string]any{
		"type": "message",
		"attachments": []any{map[string]any{
			"contentType": "application/vnd.microsoft.card.adaptive",
			"contentUrl":  nil,
			"content": map[string]any{
				"$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
				"type":    "AdaptiveCard", "version": "1.2",
				"body": lines,
			},
		}},
	}
}

// judgeWorkflow: success is 202, or another 2xx if the workflow has an action "Response".
// A body that reports an error is a refusal with any status.
func judgeWorkflow(a *transport.Answer) verdict {
	text, o := strings.TrimSpace(string(a.Body)), readObject(a.Body)
	if o.holds("error") {
		e := o.object("error")
		text = strings.TrimSpace(e.text("code") + ": " + e.text("message"))
		v := verdict{says: text, cause: notify.CauseRefused, final: permanent(a.Status)}
		if a.Status >= 300 {
			v.cause = notify.CauseOther // the status says it
		}
		return v
	}
	succeeded := a.Status == http.StatusOK || a.Status == http.StatusCreated || a.Status == http.StatusAccepted || a.Status == http.StatusNoContent
	if succeeded && !isPage(a.Body) && !teamsFailure.MatchString(text) {
		return verdict{accepted: true}
	}
	return teamsRefusal(a, text)
}
