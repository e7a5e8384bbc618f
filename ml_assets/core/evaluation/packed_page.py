"""A large HTML page as a small one: a heading that is shown at once, and the page itself, compressed, which the browser unpacks.

One file that fetches nothing. Without JavaScript, or in a browser of before 2023, the heading says so.
"""

import base64
import gzip
import re
from html import escape

_PAYLOAD = re.compile(r'<script type="application/gzip" id="page">([^<]*)</script>')
_FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body {{ margin: 0; font: 14px sans-serif; }}</style></head>
<body>{heading}<p id="state" style="margin: 0 24px">unpacking …</p>
<noscript><p style="margin: 0 24px">The page below needs JavaScript.</p></noscript>
<script type="application/gzip" id="page">{payload}</script>
<script>
const bytes = Uint8Array.from(atob(document.getElementById("page").textContent), (letter) => letter.charCodeAt(0));
const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
new Response(unpacked).text().then((html) => {{
  document.open();
  document.write(html);
  document.close();
}}).catch((error) => {{ document.getElementById("state").textContent = `cannot be unpacked: ${{error}}`; }});
</script></body></html>
"""


def packed(html: str, *, title: str, heading: str) -> bytes:
    """The page compressed. `title` is text, `heading` HTML that stands on the page as well."""
    payload = base64.b64encode(gzip.compress(html.encode(), compresslevel=6, mtime=0)).decode()
    return _FRAME.format(title=escape(title), heading=heading, payload=payload).encode()


def unpacked(page: bytes) -> str:
    """The page as it was before; one that is not packed as it is."""
    text = page.decode()
    match = _PAYLOAD.search(text)
    return gzip.decompress(base64.b64decode(match[1])).decode() if match else text
