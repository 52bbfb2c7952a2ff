"""The proxies between browsers and guests' consoles: nova-novncproxy, nova-spicehtml5proxy, nova-serialproxy."""
