package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pushwatch/cmd/pushwatch/internal/api"
)

// labelText formats a task's labels for a table.
func labelText(labels map[string]string) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, k+"="+labels[k])
	}
	return short(strings.Join(all, " "))
}

func taskRow(t api.Task) string {
	return fmt.Sprintf("%d/%s\t%s\t%s\t%s\t%d\t%s", t.SDKAppID, t.TaskID, t.State, ago(t.LastObservedAt), ago(t.NextPollAt), t.Sequence, labelText(t.Labels))
}

// printTask prints a task, with a line per field.
func printTask(w io.Writer, t api.Task) {
	fmt.Fprintf(w, "task\t%d/%s\naccount\t%s\nstate\t%s\n", t.SDKAppID, t.TaskID, oneLine(t.Account), t.State)
	if p := t.Push; p != nil {
		status := strings.TrimSpace(orZero(p.Status) + " " + orZero(p.FinishReason))
		fmt.Fprintf(w, "push\t%s\nexceptions\t%d\n", oneLine(status), orZero(p.ExceptionCount))
	}
	if e := t.Error; e != nil {
		fmt.Fprintf(w, "error\t%s\n", oneLine(e.Code+": "+e.Message))
	}
	if e := t.PollError; e != nil {
		fmt.Fprintf(w, "not observed\t%s (first %s)\n", oneLine(e.Code+": "+e.Message), ago(&e.Since))
	}
	if t.BlindSince != nil {
		fmt.Fprintf(w, "blind since\t%s\n", ago(t.BlindSince))
	}
	fmt.Fprintf(w, "labels\t%s\nevents\t%d\nregistered\t%s\nobserved\t%s\nnext poll\t%s\nexpected stop\t%s\nended\t%s\n", oneLine(labelText(t.Labels)),
		t.Sequence, ago(&t.RegisteredAt), ago(t.LastObservedAt), ago(t.NextPollAt), ago(t.ExpectedStopAt), ago(t.EndedAt))
}

func newTask() *cobra.Command {
	return newClient("task", "Register, list, show, poll and remove pushes in a running daemon", taskAdd, taskList, taskShow, taskRemove, taskPoll)
}

// taskPath returns the API path of the task that the arguments name: SDK_APP_ID and
// TASK_ID, or both joined by a slash as in an event's subject.
func taskPath(args []string) (path string, app int64, id string, err error) {
	name := strings.Join(args, "/")
	text, id, ok := strings.Cut(name, "/")
	app, err = strconv.ParseInt(text, 10, 64)
	if !ok || err != nil {
		return "", 0, "", usagef("task %s: want SDK_APP_ID TASK_ID, such as 1400000001 ghucnligqtgtvk2624mb", name)
	}
	return fmt.Sprintf("/v1/tasks/%d/%s", app, url.PathEscape(id)), app, id, nil
}

func taskAdd(c *client) *cobra.Command {
	var body api.Registration
	var stops string
	var reopen bool
	cmd := &cobra.Command{
		Use: "add SDK_APP_ID TASK_ID", Short: "Watch a push", Args: cobra.RangeArgs(1, 2),
		Long:    "Add registers a push to watch and prints its task. A task that is registered already is\nprinted unchanged, so repeating the command is harmless.",
		Example: "  pushwatch task add 1400000001 ghucnligqtgtvk2624mb --label course=math-3b --stops 90m",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if _, body.SDKAppID, body.TaskID, err = taskPath(args); err != nil {
				return err
			}
			if body.ExpectedStopAt, err = timeFlag("stops", stops, time.Now().Add); err != nil {
				return err
			}
			return show(cmd.Context(), c, http.MethodPost, fmt.Sprintf("/v1/tasks?reopen=%t", reopen), body, "task_id", printTask)
		},
	}
	cmd.Flags().StringToStringVar(&body.Labels, "label", nil, "a label, `KEY=VALUE`, that each event of the task carries; may be repeated")
	cmd.Flags().StringVar(&stops, "stops", "", "the planned end of the push, a `TIME`: 90m for 90 minutes from now, or 2026-11-22T19:00:00Z; may be past")
	cmd.Flags().BoolVar(&reopen, "reopen", false, "watch a task again after it has ended")
	return cmd
}

func taskList(c *client) *cobra.Command {
	var app int64
	var labels map[string]string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List tasks", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := flagQuery(cmd, "state")
			if app != 0 {
				query.Set("sdk_app_id", strconv.FormatInt(app, 10))
			}
			for k, v := range labels {
				query.Add("label", k+":"+v)
			}
			return list(cmd.Context(), c, "/v1/tasks", "tasks", query, limit, "TASK\tSTATE\tOBSERVED\tNEXT POLL\tEVENTS\tLABELS", taskRow)
		},
	}
	cmd.Flags().String("state", "", "only tasks in this `STATE`: registered, preparing, pushing, stopped, failed, not_found, abandoned")
	cmd.Flags().Int64Var(&app, "app", 0, "only tasks of this application, an `SDK_APP_ID`")
	cmd.Flags().StringToStringVar(&labels, "label", nil, "only tasks with this label, `KEY=VALUE`; may be repeated")
	limitFlag(cmd, &limit)
	cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"registered", "preparing", "pushing", "stopped", "failed", "not_found", "abandoned"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// limitFlag adds --limit, for lists.
func limitFlag(cmd *cobra.Command, limit *int) {
	cmd.Flags().IntVar(limit, "limit", 100, "list at most `N`; 0: all")
}

func taskShow(c *client) *cobra.Command {
	return taskCommand("show SDK_APP_ID TASK_ID", "Show one task", func(cmd *cobra.Command, path string) error {
		return show(cmd.Context(), c, http.MethodGet, path, nil, "task_id", printTask)
	})
}

func taskRemove(c *client) *cobra.Command {
	return taskCommand("remove SDK_APP_ID TASK_ID", "Stop watching a push", func(cmd *cobra.Command, path string) error {
		return c.do(cmd.Context(), http.MethodDelete, path)
	})
}

func taskPoll(c *client) *cobra.Command {
	return taskCommand("poll SDK_APP_ID TASK_ID", "Poll a push as soon as the account's limit allows", func(cmd *cobra.Command, path string) error {
		return c.do(cmd.Context(), http.MethodPost, path+"/poll")
	})
}

// taskCommand returns a command about one task.
func taskCommand(use, short string, run func(cmd *cobra.Command, path string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, _, _, err := taskPath(args)
			if err != nil {
				return err
			}
			return run(cmd, path)
		},
	}
}
