package tiwsim

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Life is the script of a push, or of several alike. Times count from the beginning of the
// task, unless said otherwise. A zero field means that the thing does not happen.
type Life struct {
	SDKAppID int64 `toml:"sdk_app_id"`
	// TaskID matches ^[A-Za-z0-9_-]{1,128}$ after "{n}" in it is replaced with the number of
	// the copy, from 1.
	TaskID string `toml:"task_id"`
	// Count is the number of copies; default 1. More than one need "{n}" in TaskID.
	Count int `toml:"count"`
	// Spread is the time over which the copies begin, evenly.
	Spread Duration `toml:"spread"`
	// Jitter delays the beginning of each copy by a random time below it.
	Jitter Duration `toml:"jitter"`
	// StartAfter is when the (first) task begins, after [New] or [Service.Add]. Until then it
	// is answered InvalidParameter.TaskNotFound.
	StartAfter Duration `toml:"start_after"`
	// PreparedFor is how long it is PREPARED; zero: forever.
	PreparedFor Duration `toml:"prepared_for"`
	// PushingFor is how long it is PUSHING; zero: forever.
	PushingFor Duration `toml:"pushing_for"`
	// FinishReason is AUTO, USER_CALL, EXCEPTION or any text; default USER_CALL.
	FinishReason string `toml:"finish_reason"`
	// Exceptions are ascending times after the start of the push at which ExceptionCnt
	// rises by one.
	Exceptions []Duration `toml:"exceptions"`
	// Backup sets the field Backup.
	Backup []Moment `toml:"backup"`
	// Statuses replace Status; an empty value ends the replacement.
	Statuses []Moment `toml:"statuses"`
	// Error replaces all answers.
	Error *Failure `toml:"error"`
	// BareAfter is when answers begin to have only a RequestId.
	BareAfter *Duration `toml:"bare_after"`
	// ForgetAfter is how long the task is known after its end by stop, Error or BareAfter;
	// zero: forever.
	ForgetAfter Duration `toml:"forget_after"`
	// AnswerTaskID is the TaskId in answers; default: the one asked for. They differ in the
	// example of the API page.
	AnswerTaskID string `toml:"answer_task_id"`
	// Shape is the form of missing values; default [ShapeMixed].
	Shape Shape `toml:"shape"`
	// Faults disturb requests for this task. [Service.Truth] ignores them.
	Faults []Fault `toml:"faults"`
}

// Moment is a value from a time on.
type Moment struct {
	After Duration `toml:"after"`
	Value string   `toml:"value"`
}

// Failure is an API error from a time on.
type Failure struct {
	After   Duration `toml:"after"`
	Code    string   `toml:"code"` // default FailedOperation.WhiteboardPush
	Message string   `toml:"message"`
}

// What is the kind of a change in a life.
type What string

// The changes in a life. The part after ";" is in Change.Detail.
const (
	Prepared  What = "prepared"  // it begins, and is PREPARED
	Started   What = "started"   // it is PUSHING
	Excepted  What = "exception" // ExceptionCnt rose; the new count
	Stopped   What = "stopped"   // it is STOPPED; the FinishReason
	Failed    What = "failed"    // an API error is answered; its code
	Bared     What = "bare"      // answers have only a RequestId
	Forgotten What = "forgotten" // InvalidParameter.TaskNotFound is answered
	Backed    What = "backup"    // Backup changed; the new value
	Restated  What = "status"    // Status is replaced; the new value, "": no longer replaced
)

// Change is one change in a scripted life.
type Change struct {
	At       time.Time
	SDKAppID int64
	TaskID   string
	What     What
	Detail   string
}

// task is one copy of a life, or an answer set by [Service.Put].
type task struct {
	key      taskKey
	life     *Life // shared by its copies; nil once override is set
	start    time.Time
	override *Answer
	stats    TaskStats
}

// copies returns the tasks of a valid life that is added now.
func (l Life) copies(now time.Time, rng *rand.Rand) []*task {
	count := max(l.Count, 1)
	tasks := make([]*task, count)
	for i := range tasks {
		start := now.Add(time.Duration(l.StartAfter) + time.Duration(l.Spread)/time.Duration(count)*time.Duration(i))
		if l.Jitter > 0 {
			start = start.Add(time.Duration(rng.Int64N(int64(l.Jitter))))
		}
		tasks[i] = &task{key: taskKey{l.SDKAppID, l.copyID(i + 1)}, life: &l, start: start}
	}
	return tasks
}

// copyID returns the task id of the n-th copy.
func (l Life) copyID(n int) string { return strings.ReplaceAll(l.TaskID, "{n}", strconv.Itoa(n)) }

// story returns all changes in the task's life in order; nil: it has none.
func (t *task) story() []Change {
	l := t.life
	if l == nil {
		return nil
	}
	var story []Change
	add := func(base time.Time, after Duration, what What, detail string) {
		at := base.Add(time.Duration(after))
		story = append(story, Change{At: at, SDKAppID: t.key.sdkAppID, TaskID: t.key.taskID, What: what, Detail: detail})
	}
	add(t.start, 0, Prepared, "")
	if l.PreparedFor > 0 {
		add(t.start, l.PreparedFor, Started, "")
		for i, after := range l.Exceptions {
			add(t.start, l.PreparedFor+after, Excepted, strconv.Itoa(i+1))
		}
		if l.PushingFor > 0 {
			add(t.start, l.PreparedFor+l.PushingFor, Stopped, cmp.Or(l.FinishReason, "USER_CALL"))
		}
	}
	for _, m := range l.Backup {
		add(t.start, m.After, Backed, m.Value)
	}
	for _, m := range l.Statuses {
		add(t.start, m.After, Restated, m.Value)
	}
	if l.Error != nil {
		add(t.start, l.Error.After, Failed, cmp.Or(l.Error.Code, "FailedOperation.WhiteboardPush"))
	}
	if l.BareAfter != nil {
		add(t.start, *l.BareAfter, Bared, "")
	}
	byTime := func(a, b Change) int { return a.At.Compare(b.At) }
	slices.SortStableFunc(story, byTime)

	// Later changes do not show after an error or bare answers.
	if i := slices.IndexFunc(story, func(c Change) bool { return c.What == Failed || c.What == Bared }); i >= 0 {
		story = story[:i+1]
	}
	end := slices.IndexFunc(story, func(c Change) bool { return c.What == Stopped || c.What == Failed || c.What == Bared })
	if end >= 0 && l.ForgetAfter > 0 {
		add(story[end].At, l.ForgetAfter, Forgotten, "")
		slices.SortStableFunc(story, byTime)
		i := slices.IndexFunc(story, func(c Change) bool { return c.What == Forgotten })
		story = story[:i+1]
	}
	return story
}

// answer returns the answer for the task at a time.
func (t *task) answer(now time.Time) Answer {
	a := Answer{Err: errTaskNotFound}
	restated := ""
	for _, c := range t.story() {
		if c.At.After(now) {
			break
		}
		switch c.What {
		case Prepared:
			a = t.prepared()
		case Started:
			a.Status = new("PUSHING")
			a.PushStartTime = new(c.At.Unix())
			a.IMSyncTime = new(int64(0))
			if *a.RoomID%2 == 0 { // not every push has messages to sync with
				a.IMSyncTime = a.PushStartTime
			}
		case Excepted:
			*a.ExceptionCnt++
		case Stopped:
			a.Status = new("STOPPED")
			a.FinishReason = new(c.Detail)
			a.PushStopTime = new(c.At.Unix())
		case Backed:
			a.Backup = new(c.Detail)
		case Restated:
			restated = c.Detail
		case Failed:
			a = Answer{Err: &APIError{Code: c.Detail, Message: t.life.Error.Message}}
		case Bared:
			a, restated = Answer{Shape: ShapeAbsent}, ""
		case Forgotten:
			a = Answer{Err: errTaskNotFound}
		}
	}
	if restated != "" {
		a.Status = &restated
	}
	return a
}

// prepared returns the answer for a task that has just begun.
func (t *task) prepared() Answer {
	room := t.room()
	return Answer{
		TaskID:       new(cmp.Or(t.life.AnswerTaskID, t.key.taskID)),
		Status:       new("PREPARED"),
		RoomID:       &room,
		GroupID:      new(strconv.FormatInt(room, 10)),
		PushUserID:   new(fmt.Sprintf("tic_push_user_%d_%d", room, t.key.sdkAppID)),
		ExceptionCnt: new(int64(0)),
		Shape:        t.life.Shape,
	}
}

// room returns the task's six-digit room number.
func (t *task) room() int64 {
	h := fnv.New32a()
	fmt.Fprintf(h, "%d/%s", t.key.sdkAppID, t.key.taskID)
	return 100_000 + int64(h.Sum32()%900_000)
}
