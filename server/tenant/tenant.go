// Package tenant administers the directory: users, groups, roles, apps,
// policies and home organisations.
//
// Like package invite it decides and hands the store whole changes. It does
// not invite and does not sign anyone in.
package tenant
