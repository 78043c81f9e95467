package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

const (
	defaultDataDir = "./invited-data"
	defaultServer  = "http://127.0.0.1:8080"
	defaultSink    = "http://127.0.0.1:8025"
)

// configPath returns the value of --config, which is needed before the rest
// of the command line can be understood.
func configPath(args []string) string {
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--config="); ok {
			return v
		}
		if a == "--config" && i+1 < len(args) {
			return args[i+1]
		}
	}
	return os.Getenv("INVITED_CONFIG")
}

// configResolver reads the configuration file, if one is named. The file is a
// JSON object whose members are flag names without the dashes; a flag or an
// environment variable wins over it. A member that is no flag is an error.
func configResolver(args []string, app *kong.Application) (kong.Resolver, error) {
	path := configPath(args)
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("--config: there is no file %s", path)
	} else if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	var values map[string]any
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	if err := dec.Decode(&values); err != nil {
		return nil, fmt.Errorf("--config: %s is not a JSON object: %w", path, err)
	}
	known := flagNames(app)
	for key, v := range values {
		if !slices.Contains(known, key) {
			return nil, fmt.Errorf("--config: %s has the unknown key %q; keys are flag names such as %q or %q", path, key, "listen", "relay")
		}
		switch v.(type) {
		case string, bool, json.Number:
		default:
			return nil, fmt.Errorf("--config: the value of %q in %s must be a text, a number, true or false", key, path)
		}
	}
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
		v, ok := values[f.Name]
		if !ok || f.Name == "config" {
			return nil, nil
		}
		return fmt.Sprint(v), nil
	}), nil
}

// flagNames lists every flag of every verb.
func flagNames(app *kong.Application) []string {
	var names []string
	_ = kong.Visit(app, func(n kong.Visitable, next kong.Next) error {
		if f, ok := n.(*kong.Flag); ok {
			names = append(names, f.Name)
		}
		return next(nil)
	})
	return names
}
