"""stamp.py DIR: writes each record of stdin to DIR/CONTAINER, behind its number and the time (of day, in seconds) at which it came."""
import os
import re
import sys
import time

directory = sys.argv[1]
name = re.compile(rb'"container_name":"([^"]*)"')
files = {}
rest = b""
number = 0
while True:
    data = os.read(0, 1 << 20)
    if not data:
        break
    now = time.time()
    *lines, rest = (rest + data).split(b"\n")
    written = set()
    for line in lines:
        container = name.search(line).group(1).decode()
        if container not in files:
            files[container] = open(os.path.join(directory, container), "wb")
        files[container].write(b"%d %.6f %s\n" % (number, now, line))
        written.add(files[container])
        number += 1
    for file in written:
        file.flush()
