package chat

import (
	"text/template"

	"pushwatch/watcher"
)

// The lines that several texts end with.
const (
	task = `
{{.Seen}}.
Task {{.Subject}} of account {{.Data.Account}}, told by {{.Instance}}.`
	fault = `{{with .Fault}}
Error: {{.}}.{{end}}`
)

// texts holds what people are told, by type of event: what happened to which
// class, what is known of it, and where to look. They are templates over an
// [event].
var texts = parse(map[watcher.EventType]string{
	watcher.PushPreparing: `{{.Class}}: the push is being prepared.` + task,

	watcher.PushStarted: `{{.Class}}: the push has started{{with .StartedAt}} at {{.}}{{end}}.` + task,

	watcher.PushException: `{{.Class}}: the push goes on, with new exceptions: {{.Data.ExceptionsAdded}}, and {{.Exceptions}} in all.{{with .StartedAt}}
It runs since {{.}}.{{end}}
Look at whether the picture is still right.` + task,

	watcher.PushStalled: `{{.Class}}: the push does not get going, it stays PREPARED.
Look at whether the whiteboard room exists and lets the pushing user in.` + task,

	watcher.PushOverdue: `{{.Class}}: the push goes on long after its planned end.{{with .StartedAt}}
It runs since {{.}}.{{end}}
Look at whether the class is still on, and stop the push if not.` + task,

	watcher.PushBackupChanged: `{{.Class}}: the result of the backup push has changed.
Look at the backup stream. Backup: {{.Backup}}` + task,

	watcher.PushChanged: `{{.Class}}: the push's status is now {{.Status}}; it was {{.Data.PreviousState}}.
Look at whether it should be: this status is new, or comes after a later one.` + task,

	watcher.PushStopped: `{{.Class}}: the push has stopped{{with .FinishReason}}, {{.}}{{end}}.{{with .Ran}}
It ran {{.}}.{{end}}{{if .Exceptions}}
Exceptions on the way: {{.Exceptions}}.{{end}}` + task,

	watcher.PushFailed: `{{.Class}}: the push FAILED{{with .FinishReason}}, {{.}}{{else}}{{if not .Fault}}: the service no longer tells its status{{end}}{{end}}.{{with .Ran}}
It ran {{.}}.{{end}}{{if .Exceptions}}
Exceptions: {{.Exceptions}}.{{end}}` + fault + `
Look at whether the class still needs a push: this one does not come back.` + task,

	watcher.PushNotFound: `{{.Class}}: the push does not exist.` + fault + `
Look at whether task and application are the right ones, and whether the push was started at all.` + task,

	watcher.WatcherBlind: `{{.Scope}} CANNOT BE OBSERVED since {{time .Data.Since}}, for {{.Blind}}. Tasks unwatched: {{.Data.Tasks}}.` + fault + `
Look at the network, the credentials and their permissions. The pushes themselves may be well.
Told by {{.Instance}}.`,

	watcher.WatcherSighted: `{{.Scope}} can be observed again. Tasks: {{.Data.Tasks}}.
It could not since {{time .Data.Since}}, for {{.Blind}}.
Told by {{.Instance}}.`,

	watcher.DeliveryExhausted: `Notifier {{.Data.Notifier}} has NOT been told of {{.Data.EventType}}, event {{.Data.EventID}}: given up at attempt {{.Data.Attempts}}.{{with .LastError}}
Last error: {{.}}.{{end}}
Look at its receiver; the event is kept, and sent again by "pushwatch delivery retry".
Told by {{.Instance}}.`,

	watcher.WebhookTest: `This is a test: {{.Instance}} reaches you here. There is nothing to look at.`,
})

func parse(texts map[watcher.EventType]string) *template.Template {
	all := template.New("").Funcs(template.FuncMap{"time": clock})
	for kind, text := range texts {
		template.Must(all.New(string(kind)).Parse(text))
	}
	return all
}
