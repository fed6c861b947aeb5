package scheduletest

import (
	"math"
	"slices"
	"time"
)

// A Plan is what one would know of a day who knew its registrations, how lives are drawn, and
// the price of a poll at each time: if every poll cost it, all polls that are worth their price
// would take just the rate. A second of delay costs 1, of a start startsCount.
//
// At any prices, the least cost of all pushes, less the price of all polls that the rate allows,
// is a bound: the mean cost is no less under any policy (weak duality). The plan has the prices
// that make it greatest.
type Plan struct {
	Bound       float64 // seconds, right to about a hundredth
	rate        float64
	startsCount float64
	first       int       // minute of the first registration
	prices      []float64 // by minute from the first
	kinds       [5]kind   // by planned length; first: not known
	costs       []costs   // at the prices times each factor
}

const (
	ageStep = 30.0    // seconds: polls are planned at multiples of it
	longest = 96 * 60 // seconds that a push lasts at most
	ages    = longest/30 + 1
	// usual is how long a push prepares on average.
	usual = 8.0
)

// factors of the prices for which polls are planned.
var factors = []float64{.25, .35, .5, .6, .7, .8, .9, 1, 1.1, 1.25, 1.4, 1.6, 2, 2.8, 4, 8}

// A kind is how long pushes last of which the same is known.
type kind struct {
	lasts [ages]float64 // probability, by age
	sum   [ages]float64 // its integral up to the age
}

// wait returns the expected delay of a stop if a push is polled at one age and next at another,
// and the probability that it lasts until then.
func (k *kind) wait(from, to float64) (delay, lasts float64) {
	at := func(values *[ages]float64, age float64) float64 {
		x := max(0, min(ages-1.001, age/ageStep))
		i := int(x)
		return values[i] + (x-float64(i))*(values[i+1]-values[i])
	}
	lasted := max(1e-9, at(&k.lasts, from))
	return to - from - (at(&k.sum, to)-at(&k.sum, from))/lasted, at(&k.lasts, to) / lasted
}

// kindOf returns the index of the kind with a planned length in minutes; 0: not known.
func kindOf(minutes int) int { return 1 + slices.Index([]int{40, 45, 60, 90}, minutes) }

// A course is a push's least future cost and age at its next poll, by its age at a poll.
type course struct {
	cost [ages]float32
	next [ages]uint8
}

// costs are the courses of pushes by kind and by the minute of their start.
type costs [5][]course

// MakePlan plans a day.
func MakePlan(lives []Life, rate, startsCount float64) *Plan {
	p := &Plan{rate: rate, startsCount: startsCount, first: int(lives[0].Registered / 60), Bound: math.Inf(-1)}
	for i := range p.kinds {
		l := Life{Hint: math.NaN()}
		if i > 0 {
			l.Planned, l.Hint = time.Duration([]int{40, 45, 60, 90}[i-1])*time.Minute, 0
		}
		k := &p.kinds[i]
		for j := range k.lasts {
			_, k.lasts[j] = l.chances(float64(j) * ageStep)
			if j > 0 {
				k.sum[j] = k.sum[j-1] + ageStep*(k.lasts[j]+k.lasts[j-1])/2
			}
		}
	}
	prices := make([]float64, int(lives[len(lives)-1].Registered/60)-p.first+longest/60+2)
	for i := range prices {
		prices[i] = 100
	}
	const rounds = 40
	for round := range rounds {
		bound, load := p.bound(lives, prices)
		if bound > p.Bound {
			p.Bound, p.prices = bound, slices.Clone(prices)
		}
		load = smooth(load, 3)
		for i := range prices {
			excess := max(-1, min(2, load[i]/rate-1))
			prices[i] = max(0.01, prices[i]*math.Exp(0.5/(1+float64(round)/12)*excess))
		}
		prices = smooth(prices, 1)
	}
	for _, factor := range factors {
		scaled := slices.Clone(p.prices)
		for i := range scaled {
			scaled[i] *= factor
		}
		p.costs = append(p.costs, p.solve(scaled))
	}
	return p
}

// smooth returns the mean of each value and its neighbours.
func smooth(values []float64, reach int) []float64 {
	means := make([]float64, len(values))
	for i := range values {
		means[i] = Delays(values[max(0, i-reach):min(len(values), i+reach+1)]).Mean()
	}
	return means
}

// price returns the price at a time, from prices by minute.
func (p *Plan) price(prices []float64, at float64) float64 {
	x := max(0, min(float64(len(prices))-1.001, at/60-0.5-float64(p.first)))
	i := int(x)
	return prices[i] + (x-float64(i))*(prices[i+1]-prices[i])
}

// solve finds the least costs at prices, from the last poll of each push back to its start.
func (p *Plan) solve(prices []float64) (all costs) {
	for k := range p.kinds {
		all[k] = make([]course, len(prices))
		for minute := range all[k] {
			p.kinds[k].solve(&all[k][minute], func(age float64) float64 {
				return p.price(prices, 60*(float64(p.first+minute)+0.5)+age)
			})
		}
	}
	return all
}

func (k *kind) solve(c *course, price func(age float64) float64) {
	var prices, scaled [ages]float64 // scaled: costs times the probability of their age
	for i := range prices {
		prices[i] = price(float64(i) * ageStep)
	}
	last := ages - 1
	c.cost[last], c.next[last] = float32(prices[last]), uint8(last)
	for from := last - 1; from >= 0; from-- {
		lasts, least := max(1e-9, k.lasts[from]), math.Inf(1)
		for to := from + 1; to <= last; to++ {
			if cost := lasts*(prices[to]+float64(to-from)*ageStep) - k.sum[to] + scaled[to]; cost < least {
				least, c.next[from] = cost, uint8(to)
			}
		}
		scaled[from] = least + k.sum[from]
		c.cost[from] = float32(scaled[from] / lasts)
	}
}

// bound returns the bound that prices give, and the polls per second that they lead to, by
// minute.
func (p *Plan) bound(lives []Life, prices []float64) (bound float64, load []float64) {
	all := p.solve(prices)
	load = make([]float64, len(prices))
	for i := range lives {
		l := &lives[i]
		if math.IsInf(l.Start, 1) {
			continue // costs something, too
		}
		kd := 0
		if !math.IsNaN(l.Hint) {
			kd = kindOf(int(l.Planned.Minutes()))
		}
		k, minute := &p.kinds[kd], int((l.Registered+usual)/60)-p.first
		c, start := &all[kd][minute], 60*(float64(p.first+minute)+0.5)
		least, to := math.Inf(1), 0
		for next := range ages - 1 {
			age := float64(next) * ageStep
			delay, lasts := k.wait(0, age)
			if cost := p.startsCount*age + delay + lasts*float64(c.cost[next]) + p.price(prices, start+age); cost < least {
				least, to = cost, next
			}
		}
		bound += least
		for part := 1.0; part > 1e-3; to = int(c.next[to]) {
			load[min(len(load)-1, int((start+float64(to)*ageStep)/60)-p.first)] += part / 60
			if to == ages-1 {
				break
			}
			part = k.lasts[to]
		}
	}
	for _, price := range prices {
		bound -= p.rate * 60 * price
	}
	return bound / float64(len(lives)), load
}
