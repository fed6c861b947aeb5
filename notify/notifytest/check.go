package notifytest

import (
	"bytes"
	"errors"
	"fmt"
)

// maxFaults is how many faults an error of [Check] lists: one cause often makes
// thousands.
const maxFaults = 10

// Summary counts the deliveries that [Check] has seen.
type Summary struct {
	// Deliveries counts all, including repeated and faulty ones.
	Deliveries int
	// Events counts the distinct ids among those without an Err.
	Events int
	// Repeats counts the deliveries of an id that came before. Delivery is at least
	// once, so they are no fault.
	Repeats int
	// Last is the highest sequence of each subject. Compared with what was sent, it
	// shows what is missing at the end.
	Last map[string]int64
}

// Check verifies that deliveries, in the order of their arrival, keep the promises made
// to consumers:
//
//   - each has no Err;
//   - an id always comes with the same body;
//   - a sequence of a subject always comes with the same id;
//   - the sequences of a subject arrive first as 1, 2, 3 … without a gap. This holds
//     for a notifier that gets every type of event.
//
// A delivery with an Err is not checked further. The error joins the first faults and
// counts the others; the summary is valid with or without an error.
func Check(deliveries []Delivery) (Summary, error) {
	type fact struct {
		subject  string
		sequence int64
	}
	var (
		faults []error
		bodies = map[string][]byte{} // by id
		ids    = map[fact]string{}
		sum    = Summary{Deliveries: len(deliveries), Last: map[string]int64{}}
	)
	for i, d := range deliveries {
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Errorf("delivery %d, %s: "+format, append([]any{i + 1, d.ID}, args...)...))
		}
		if d.Err != nil {
			fault("%w", d.Err)
			continue
		}
		body, repeated := bodies[d.ID]
		if repeated {
			sum.Repeats++
			if !bytes.Equal(body, d.Body) {
				fault("its body differs from before")
			}
			continue
		}
		bodies[d.ID] = d.Body

		subject, sequence := d.Event.Subject, d.Event.Sequence
		if sequence == 0 { // belongs to no task
			continue
		}
		f := fact{subject, sequence}
		if id, known := ids[f]; known {
			fault("%s was %s, sequence %d, already", id, subject, sequence)
			continue
		}
		ids[f] = d.ID
		if want := sum.Last[subject] + 1; sequence != want {
			fault("%s: sequence %d, want %d", subject, sequence, want)
		}
		sum.Last[subject] = max(sum.Last[subject], sequence)
	}
	sum.Events = len(bodies)

	if more := len(faults) - maxFaults; more > 0 {
		faults = append(faults[:maxFaults], fmt.Errorf("and %d more faults", more))
	}
	return sum, errors.Join(faults...)
}
