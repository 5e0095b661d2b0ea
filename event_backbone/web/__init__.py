"""HTTP servers and clients of our processes: server, guards, probes, problem documents; knows no route of a service."""
