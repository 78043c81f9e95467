// Package session says who is calling: client credentials and local
// credentials for programs, sealed cookies for guests in the middle of
// redeeming.
//
// It turns a credential into a [directory.Actor] or refuses it. What the actor
// may do is decided elsewhere.
package session
