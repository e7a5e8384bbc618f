"""How the page of a graph looks: light and dark, no script, no font or file from anywhere else."""

STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfb; --ink: #1d2733; --soft: #5c6877; --line: #d5dbe2; --box: #ffffff;
  --strong: #2256a8; --strong-box: #e8f0fc; --good: #1c7a45; --good-box: #e6f5ec; --bad: #b3261e; --bad-box: #fdeceb;
  --source-box: #f3f1ea; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181e; --ink: #e6eaf0; --soft: #9aa6b5; --line: #36404d;
  --box: #1d232c; --strong: #8ab4f8; --strong-box: #1b2a44; --good: #7fd1a0; --good-box: #17301f; --bad: #f2a29d;
  --bad-box: #3b1d1b; --source-box: #262420; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", sans-serif; }
header, main, footer { max-width: 1560px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 28px; }
h1 { font-size: 24px; line-height: 1.25; margin: 0 0 4px; font-weight: 650; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 10px; }
h2 small { color: var(--soft); font-weight: 400; font-size: 15px; margin-left: 6px; }
h3 { font-size: 14px; margin: 22px 0 6px; color: var(--soft); font-weight: 600; }
.lead { margin: 0; color: var(--soft); overflow-wrap: anywhere; }
.graph { margin: 20px 0 8px; overflow-x: auto; border: 1px solid var(--line); border-radius: 10px; background: var(--box); }
svg { display: block; margin: 0 auto; max-width: 100%; min-width: 1080px; height: auto; }
svg text { font: 13px system-ui, "Segoe UI", sans-serif; fill: var(--ink); }
svg .title { font-weight: 600; }
svg .sub { fill: var(--soft); font-size: 12px; }
svg .column { fill: var(--soft); font-size: 12px; }
svg rect { fill: var(--box); stroke: var(--line); stroke-width: 1.25; }
svg .delivered rect { fill: var(--source-box); }
svg .subject rect { fill: var(--strong-box); stroke: var(--strong); stroke-width: 2; }
svg .good rect { fill: var(--good-box); stroke: var(--good); }
svg .bad rect { fill: var(--bad-box); stroke: var(--bad); }
svg a:hover rect, svg a:focus-visible rect { stroke: var(--strong); stroke-width: 2.5; }
svg a:focus { outline: none; }
svg path { fill: none; stroke: var(--soft); stroke-opacity: .55; stroke-width: 1.5; }
svg path.back { stroke-dasharray: 5 4; }
svg path:hover { stroke: var(--strong); stroke-opacity: 1; stroke-width: 2.5; }
svg marker path { fill: var(--soft); stroke: none; }
.hint { color: var(--soft); font-size: 13px; margin: 0 0 20px; }
section { display: none; scroll-margin-top: 600px; border-top: 1px solid var(--line); padding: 20px 0 32px; }
section:target, main:not(:has(section:target)) section.first { display: block; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
.wide { overflow-x: auto; }
th { text-align: left; color: var(--soft); font-weight: 600; }
th, td { padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: break-word; max-width: 520px; }
code, pre { font: 12.5px/1.5 ui-monospace, "Cascadia Mono", Menlo, monospace; }
pre { background: var(--box); border: 1px solid var(--line); border-radius: 8px; padding: 12px; overflow-x: auto;
  white-space: pre-wrap; overflow-wrap: anywhere; margin: 6px 0 12px; }
summary { cursor: pointer; padding: 3px 0; }
.pass { color: var(--good); font-weight: 600; }
.fail { color: var(--bad); font-weight: 600; }
footer { color: var(--soft); font-size: 13px; padding-bottom: 32px; }
@media print { section { display: block; } }
"""
