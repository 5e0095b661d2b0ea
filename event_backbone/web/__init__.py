"""How our processes serve and call HTTP: server, guards, probes, problem documents; knows no route of a service."""
