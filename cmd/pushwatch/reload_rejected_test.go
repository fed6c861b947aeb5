package main

import (
	"net/http/httptest"
	"testing"
	"time"

	"pushwatch/notify/notifytest"
)

// TestRejectedSettings reloads settings whose notifier is sound and whose account is
// not, and then sound ones. The notifier must deliver to the receiver of the settings in
// force, and never to that of the rejected ones.
func TestRejectedSettings(t *testing.T) {
	t.Parallel()
	receiver, rejected := notifytest.New(notifytest.Config{}), notifytest.New(notifytest.Config{})
	webhooks, elsewhere := httptest.NewServer(receiver), httptest.NewServer(rejected)
	defer webhooks.Close()
	defer elsewhere.Close()

	s := localSettings(t)
	s.Accounts = []accountSettings{simAccount(testAccount(0), "http://127.0.0.1:1")}
	s.Notifiers = []notifierSettings{localNotifier("classroom", webhooks.URL, webhookSecret)}
	faulty, sound := s, s
	faulty.Accounts = []accountSettings{simAccount(testAccount(0), "http://tiw.example")} // not this machine
	faulty.Notifiers = []notifierSettings{localNotifier("classroom", elsewhere.URL, webhookSecret)}
	sound.Notifiers = []notifierSettings{localNotifier("second", webhooks.URL, webhookSecret), s.Notifiers[0]}

	reloads := make(chan settings)
	d, reloaded, stop := runDaemon(t, s, reloads)
	defer stop()
	for _, s := range []settings{faulty, sound} {
		reloads <- s
		<-reloaded
	}
	if _, err := d.dispatcher.Test(t.Context(), "classroom"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(hang); len(receiver.Deliveries()) == 0; time.Sleep(10 * time.Millisecond) {
		if len(rejected.Deliveries()) > 0 {
			t.Fatal("the receiver of the rejected settings got a delivery")
		}
		if time.Now().After(deadline) {
			t.Fatal("the receiver of the settings in force got nothing")
		}
	}
}
