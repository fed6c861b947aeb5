package sqlstore

import (
	"strings"
	"testing"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// TestDeliveriesPlan checks that a few deliveries are not looked for among all.
func TestDeliveriesPlan(t *testing.T) {
	t.Parallel()
	db := openTest(t)
	for _, test := range []struct {
		query notify.Query
		want  string
	}{
		{notify.Query{EventID: "msg_1"}, "deliveries_event (shard=? AND event=?)"},
		{notify.Query{EventID: "msg_1", Notifier: "n", After: notify.DeliveryID{Shard: 1, ID: 1}}, "deliveries_event (shard=? AND event=?)"},
		{notify.Query{Task: watcher.Key{SDKAppID: 1, TaskID: "a"}}, "deliveries_event (shard=? AND event=?)"},
		{notify.Query{State: notify.Dead}, "deliveries_dead"},
		{notify.Query{State: notify.Dead, Notifier: "n"}, "deliveries_dead"},
	} {
		query, args, err := selectRecords(test.query)
		if err != nil {
			t.Fatal(err)
		}
		if got := planOf(t, db, query, args); !strings.Contains(got, test.want) {
			t.Errorf("plan of %+v is\n%s\nwant %s in it", test.query, got, test.want)
		}
	}
	parameters := make([]any, strings.Count(selectDead, "?"))
	if got, want := planOf(t, db, selectDead, parameters), "COVERING INDEX deliveries_dead"; !strings.Contains(got, want) {
		t.Errorf("plan of a replay is\n%s\nwant %s in it", got, want)
	}
}
