package loop_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/watcher/loop"
)

func TestSignal(t *testing.T) {
	s := loop.NewSignal()
	s.Notify()
	s.Notify() // is one with the first
	<-s
	select {
	case <-s:
		t.Error("a signal that was notified twice wakes twice")
	default:
	}
	loop.Signal(nil).Notify() // does not block
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if !loop.Sleep(t.Context(), time.Minute) {
			t.Error("Sleep(1m) = false, want true")
		}
		if got := time.Since(start); got != time.Minute {
			t.Errorf("Sleep(1m) took %s", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if loop.Sleep(ctx, time.Minute) {
			t.Error("Sleep with a context that ends = true, want false")
		}
		if got := time.Since(start); got != time.Minute+time.Second {
			t.Errorf("Sleep with a context of 1s ended after %s", got-time.Minute)
		}
	})
}

func TestCondition(t *testing.T) {
	var c loop.Condition
	now := time.Now()
	if _, ended := c.End(now); ended {
		t.Error("the zero Condition ended")
	}
	if !c.Begin(now) || c.Begin(now.Add(time.Second)) {
		t.Error("a condition begins once")
	}
	if got := c.Since(); !got.Equal(now) {
		t.Errorf("Since() = %s, want %s", got, now)
	}
	if lasted, ended := c.End(now.Add(time.Minute)); lasted != time.Minute || !ended {
		t.Errorf("End() = %s, %v, want 1m, true", lasted, ended)
	}
	if _, ended := c.End(now.Add(time.Minute)); ended {
		t.Error("a condition ends twice")
	}
}
