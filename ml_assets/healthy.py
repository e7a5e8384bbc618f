"""`python -m ml_assets.healthy URL`: a container's health check, for images that have no curl. The exit code is 1 unless the URL
answers with 200."""

import sys
import urllib.error
import urllib.request

SECONDS = 4.0


def main(url: str) -> int:
    """The exit code; what is wrong goes to stderr."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=SECONDS) as answer:
            return 0 if answer.status == 200 else 1
    except (urllib.error.URLError, OSError, ValueError) as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
