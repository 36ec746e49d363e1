"""Web tasks on real server-rendered applications, in a real browser or without one."""
