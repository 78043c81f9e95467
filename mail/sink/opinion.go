package sink

import (
	"context"
	"encoding/json"

	"invited/mail/sink/rules"
)

// AddOpinion notes what a spam filter thinks of a message, in the verdict of
// each recipient. An earlier opinion of the same name is replaced; the message
// stays where it lies. It is ErrNotFound if the message is gone.
func (s *Sink) AddOpinion(ctx context.Context, id string, opinion rules.Engine) error {
	key, err := s.key(id)
	if err != nil {
		return err
	}
	if err := s.reach(ctx, key); err != nil {
		return err
	}
	return s.change(ctx, func() ([]int64, error) {
		err := s.index.UpdateVerdicts(ctx, key, func(verdict []byte) []byte { return withOpinion(verdict, opinion) })
		return []int64{key}, err
	})
}

// withOpinion adds an opinion to a verdict as it is stored. A verdict that
// cannot be read is left alone.
func withOpinion(verdict []byte, opinion rules.Engine) []byte {
	var v rules.Verdict
	if err := json.Unmarshal(verdict, &v); err != nil {
		return nil
	}
	kept := make([]rules.Engine, 0, len(v.Engines)+1)
	for _, e := range v.Engines {
		if e.Name != opinion.Name {
			kept = append(kept, e)
		}
	}
	v.Engines = append(kept, opinion)
	out, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return out
}
