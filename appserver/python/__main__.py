"""Start of the zip that the front runs as ``python /proc/self/fd/3 worker NAME``."""

import sys

# Said in words that any Python reads, before it meets a line that it cannot.
if sys.version_info < (3, 8):
    sys.stderr.write("Alicorn needs Python 3.8 or newer: %s is %d.%d\n"
                     % ((sys.executable,) + tuple(sys.version_info[:2])))
    sys.exit(3)

from alicorn.worker import main  # noqa: E402

if __name__ == "__main__":
    main()
