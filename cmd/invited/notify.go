package main

import (
	"log/slog"
	"net"
	"os"
)

// States of a service, as its manager is told them; see sd_notify(3).
const (
	notifyReady    = "READY=1\nSTATUS=Serving"
	notifyStopping = "STOPPING=1\nSTATUS=Finishing what was begun"
)

// notify tells the service manager that started this process, if one did, of a
// change of state. Nobody there to listen is no reason to stop.
func notify(log *slog.Logger, state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"}) // a leading @ is an abstract name there, too
	if err == nil {
		_, err = conn.Write([]byte(state))
		_ = conn.Close()
	}
	if err != nil {
		log.Warn("the service manager does not listen", slog.Any("err", err))
	}
}
