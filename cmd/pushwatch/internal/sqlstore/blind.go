package sqlstore

import (
	"context"
	"maps"
	"slices"
	"time"

	"pushwatch/watcher"
)

// Blind implements [watcher.Store]. It reads the newest announcement of each subject: the
// account or one of its applications.
func (a *Account) Blind(ctx context.Context) ([]watcher.Blindness, error) {
	newest := make(map[string]watcher.Blindness)
	err := a.db.each(ctx, func(scan scanner) error {
		var subject, kind string
		var event struct {
			Data struct {
				SDKAppID int64     `json:"sdk_app_id"` // null stays 0
				Since    time.Time `json:"since"`
				Tasks    int       `json:"tasks"`
			} `json:"data"`
		}
		err := scan(&subject, &kind, jsonText{&event})
		newest[subject] = watcher.Blindness(event.Data)
		if kind == string(watcher.WatcherSighted) {
			delete(newest, subject)
		}
		return err
	}, `SELECT subject, type, body FROM events WHERE shard = ? AND sdk_app_id IS NULL AND type IN (?, ?) ORDER BY number`,
		a.shard, string(watcher.WatcherBlind), string(watcher.WatcherSighted))
	return slices.Collect(maps.Values(newest)), wrap(err, "read outages of account %s", a.name)
}
