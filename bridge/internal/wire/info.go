package wire

import (
	"encoding/json"
	"fmt"
)

// serverInfo is what this client needs of a server's INFO line.
type serverInfo struct {
	Name         string   `json:"server_name"`
	Version      string   `json:"version"`
	Protocol     int      `json:"proto"`
	Headers      bool     `json:"headers"`
	TLSRequired  bool     `json:"tls_required"`
	TLSAvailable bool     `json:"tls_available"`
	MaxPayload   int64    `json:"max_payload"`
	Nonce        string   `json:"nonce"`
	ConnectURLs  []string `json:"connect_urls"`
	LameDuck     bool     `json:"ldm"`
}

func parseInfo(text []byte) (serverInfo, error) {
	var info serverInfo
	if err := json.Unmarshal(text, &info); err != nil {
		return serverInfo{}, fmt.Errorf("%w: malformed INFO: %w", ErrProtocol, err)
	}
	return info, nil
}
