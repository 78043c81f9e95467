package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"
)

// outputFlag is the --output of every verb that lists or shows.
type outputFlag struct {
	Output string `enum:"table,json,csv" default:"table" help:"How to print: table, json or csv."`
}

// table is rows for people and programs. For JSON, value is printed instead.
type table struct {
	columns []string
	rows    [][]string
	value   any
	empty   string // said instead of an empty table
}

// print writes t in the chosen form.
func (o outputFlag) print(w io.Writer, t table) error {
	switch o.Output {
	case "json":
		return printJSON(w, t.value)
	case "csv":
		return printCSV(w, t)
	default:
		return printTable(w, t)
	}
}

// printJSON writes v, indented.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printCSV writes t as RFC 4180. Cells that a spreadsheet would take for a
// formula are marked as text.
func printCSV(w io.Writer, t table) error {
	cw := csv.NewWriter(w)
	if err := cw.Write(t.columns); err != nil {
		return err
	}
	for _, row := range t.rows {
		safe := make([]string, len(row))
		for i, cell := range row {
			safe[i] = plainCell(cell)
		}
		if err := cw.Write(safe); err != nil {
			return err
		}
	}
	cw.Flush()
	return cw.Error()
}

// plainCell prefixes cells that a spreadsheet would evaluate.
func plainCell(cell string) string {
	if trimmed := strings.TrimLeft(cell, " \ufeff"); trimmed != "" && strings.ContainsRune("=+-@\t\r", rune(trimmed[0])) {
		return "'" + cell
	}
	return cell
}

// printTable aligns t in columns.
func printTable(w io.Writer, t table) error {
	if len(t.rows) == 0 && t.empty != "" {
		_, err := fmt.Fprintln(w, t.empty)
		return err
	}
	tw := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	if len(t.columns) > 0 {
		fmt.Fprintln(tw, strings.ToUpper(strings.Join(t.columns, "\t")))
	}
	for _, row := range t.rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cells[i] = printableLine(cell); len(t.columns) > 0 {
				cells[i] = clip(cells[i])
			}
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	return tw.Flush()
}

// printableLine makes foreign text safe for a terminal: no control characters,
// nothing that turns the writing direction.
func printableLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == 0x2028 || r == 0x2029 || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return ' '
		}
		return r
	}, s)
}

// clip cuts a cell of a table to a width people can compare.
func clip(s string) string {
	const width = 60
	if utf8.RuneCountInString(s) > width {
		return string([]rune(s)[:width-1]) + "…"
	}
	return s
}

// when prints a moment for people; the zero time is a dash.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}
