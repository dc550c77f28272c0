"""Start of the zip that the front runs as ``python /proc/self/fd/3 worker NAME``."""

from alicorn.worker import main

if __name__ == "__main__":
    main()
