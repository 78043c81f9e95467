package sqlite

import (
	"reflect"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"invited/server/directory"
	"invited/server/store/storetest"
)

// TestSettingsAreCurrent reads a policy while it is changed: nobody may see one
// that is older than a change whose call has returned.
func TestSettingsAreCurrent(t *testing.T) {
	s := open(t, Options{})
	tn, p := storetest.NewTenant("Contoso")
	require.NoError(t, s.CreateTenant(t.Context(), tn, p))
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			last := int64(0)
			for {
				select {
				case <-stop:
					return
				default:
				}
				p, err := s.Policy(t.Context(), tn.ID)
				assert.NoError(t, err)
				assert.GreaterOrEqual(t, p.Version, last)
				last = p.Version
			}
		})
	}
	for range 40 {
		p, err := s.Policy(t.Context(), tn.ID)
		require.NoError(t, err)
		require.NoError(t, s.ApplyDirectory(t.Context(), directory.Change{Tenant: tn.ID, Policy: &p}), "it was read at the stored version")
	}
	close(stop)
	readers.Wait()
}

// TestSettingsAreNotShared holds that a caller may change what it was given.
func TestSettingsAreNotShared(t *testing.T) {
	s := open(t, Options{})
	tn, p := storetest.NewTenant("Contoso")
	p.AllowedDomains, p.Providers = []string{"fabrikam.example"}, directory.DefaultProviders
	require.NoError(t, s.CreateTenant(t.Context(), tn, p))
	distinct := func(a, b any) {
		t.Helper()
		va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
		for i := range va.NumField() {
			f := va.Field(i)
			if f.Kind() == reflect.Slice && f.Len() > 0 {
				require.NotEqual(t, f.Pointer(), vb.Field(i).Pointer(), va.Type().Field(i).Name)
			}
			require.NotContains(t, []reflect.Kind{reflect.Map, reflect.Pointer}, f.Kind(), va.Type().Field(i).Name)
		}
	}
	for range 2 {
		p1, err := s.Policy(t.Context(), tn.ID)
		require.NoError(t, err)
		p2, err := s.Policy(t.Context(), tn.ID)
		require.NoError(t, err)
		distinct(p1, p2)
		t1, err := s.Tenant(t.Context(), tn.ID)
		require.NoError(t, err)
		t2, err := s.Tenant(t.Context(), tn.ID)
		require.NoError(t, err)
		distinct(t1, t2)
	}
}
