package scheduletest

import (
	"math"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/schedule"
)

// A Planned polls by a plan: next is the task whose poll would still be due at the highest
// prices, as a multiple of those of the plan.
type Planned struct {
	*Plan
	// Rounds is the longest wait in rounds of all tasks, and one poll in a hundred goes to a
	// new task 8 s after its registration, as in a schedule; 0: no such promises.
	Rounds float64

	waiting []*planned
	nextNew float64 // when the next new task goes first
}

// A planned is a task that waits for its poll. Times are seconds since the trace began.
type planned struct {
	entry  *schedule.Entry
	polled float64
	due    []float64 // when its poll is due, by factor
	passed int       // how many of these are over
	limit  float64   // no later
	goes   float64   // before the others from then on
}

func sinceMorning(t time.Time) float64 { return t.Sub(morning).Seconds() }

// Learn implements [Policy]: there is nothing to learn.
func (p *Planned) Learn(_, _ *watcher.Task) {}

// Put implements [Policy].
func (p *Planned) Put(e *schedule.Entry, now time.Time) {
	at, registered := sinceMorning(now), sinceMorning(e.Registered)
	t := &planned{entry: e, polled: at, limit: math.Inf(1), goes: math.Inf(1)}
	if e.Asked == watcher.Never {
		t.polled = registered
	}
	if p.Rounds > 0 {
		t.limit = t.polled + max(60, p.Rounds*float64(len(p.waiting)+1)/p.rate)
		if e.Asked == watcher.Never && at >= p.nextNew {
			t.goes, p.nextNew = registered+8, at+100/p.rate
		}
	}
	kd, start, unseen := 0, registered+usual, registered+usual
	if at > registered+usual/2 {
		unseen = at + usual
	}
	if e.State() == watcher.Pushing {
		start, unseen = float64(int64(e.Started)-morning.Unix()), math.Inf(1)
	}
	if e.Expected != 0 {
		kd = kindOf(int(math.Round((float64(e.Expected)/1e6 - float64(e.Registered.UnixMicro())/1e6) / 60)))
	}
	p.planNext(t, kd, start, unseen)
	p.waiting = append(p.waiting, t)
}

// planNext finds when t is polled best at each factor of the prices. Its start is seen then, if
// it is not yet: from unseen on that costs, too.
func (p *Planned) planNext(t *planned, kd int, start, unseen float64) {
	minute := max(0, min(len(p.prices)-1, int(start/60)-p.first))
	t.due = make([]float64, len(factors))
	least := make([]float64, len(factors))
	for i := range least {
		least[i] = math.Inf(1)
	}
	for at := t.polled + ageStep/2; ; at += ageStep {
		delay, lasts := p.kinds[kd].wait(t.polled-start, at-start)
		delay += p.startsCount * max(0, at-unseen)
		price := p.price(p.prices, at)
		x := max(0, min(ages-1.001, (at-start)/ageStep))
		i := int(x)
		for f, factor := range factors {
			c := &p.costs[f][kd][minute].cost
			if cost := delay + factor*price + lasts*(float64(c[i])+(x-float64(i))*float64(c[i+1]-c[i])); cost < least[f] {
				least[f], t.due[f] = cost, at
			}
		}
		if at >= start+longest || at >= t.limit {
			break
		}
	}
	for f := 1; f < len(factors); f++ {
		t.due[f] = max(t.due[f], t.due[f-1])
	}
}

// priced returns the multiple of the prices at which a task's poll would be due at a time.
func (t *planned) priced(at float64) float64 {
	for t.passed < len(factors) && at >= t.due[t.passed] {
		t.passed++
	}
	switch i := t.passed; i {
	case 0:
		return factors[0] * (at - t.polled) / (t.due[0] - t.polled)
	case len(factors):
		return factors[i-1] * (1 + (at-t.due[i-1])/600)
	default:
		part := (at - t.due[i-1]) / (t.due[i] - t.due[i-1])
		return factors[i-1] + part*(factors[i]-factors[i-1])
	}
}

// Take implements [Policy].
func (p *Planned) Take(now time.Time, rate float64) *schedule.Entry {
	at := sinceMorning(now)
	wait := max(60, p.Rounds*float64(len(p.waiting))/rate)
	best, oldest, most := -1, -1, 0.0
	for i, t := range p.waiting {
		if at-t.polled < 1 {
			continue
		}
		if oldest < 0 || t.polled < p.waiting[oldest].polled {
			oldest = i
		}
		w := t.priced(at)
		if at >= t.goes {
			w = math.Inf(1)
		}
		if best < 0 || w > most {
			best, most = i, w
		}
	}
	if best < 0 {
		return nil
	}
	if o := p.waiting[oldest]; at >= max(o.limit, o.polled+wait) && p.Rounds > 0 {
		best = oldest
	}
	e := p.waiting[best].entry
	p.waiting[best] = p.waiting[len(p.waiting)-1]
	p.waiting = p.waiting[:len(p.waiting)-1]
	return e
}
