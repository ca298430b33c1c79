"""The look of the report: one inline style sheet for light, dark and paper."""

from __future__ import annotations

STYLESHEET = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b242e; --muted: #5a6673; --line: #dfe4e9; --stripe: #f3f5f8;
  --pass: #00664a; --fail: #a63d00; --insufficient: #7a5200; --warn: #fff4d6; --warn-line: #c98a00; --link: #005a8c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12171d; --card: #1a2129; --ink: #e5eaf0; --muted: #9ba8b5; --line: #313b46; --stripe: #202832;
    --pass: #0d7d5d; --fail: #b84a0c; --insufficient: #8d6208; --warn: #33290f; --warn-line: #c98a00; --link: #7cc0ea;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1180px; margin: 0 auto; padding: 20px 24px 56px; }
h1 { font-size: 20px; margin: 0 0 12px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 10px; } h3 { font-size: 15px; margin: 22px 0 8px; }
nav { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 0 0 16px; padding: 0 2px; font-size: 14px; }
nav a { color: var(--link); text-underline-offset: 3px; } section { scroll-margin-top: 12px; }
p { margin: 0 0 8px; }
.muted { color: var(--muted); }
.verdict {
  color: #ffffff; border-radius: 10px; padding: 18px 24px; margin-bottom: 16px;
  display: grid; grid-template-columns: minmax(0, auto) minmax(0, 1fr); gap: 4px 32px; align-items: center;
}
.verdict p { margin: 0; }
.verdict .question { font-size: 14px; }
.verdict .word { font-size: 38px; font-weight: 750; line-height: 1.1; letter-spacing: .01em; overflow-wrap: anywhere; }
.verdict .long { font-size: 29px; }
.verdict .answer { font-size: 17px; font-weight: 600; margin-bottom: 4px; }
.PASS { background: var(--pass); } .FAIL { background: var(--fail); }
.INSUFFICIENT_EVIDENCE { background: var(--insufficient); }
.warning {
  background: var(--warn); border: 1px solid var(--warn-line); border-left-width: 6px; border-radius: 8px;
  padding: 10px 16px; margin-bottom: 16px;
}
.pair { display: grid; grid-template-columns: minmax(0, 1.7fr) minmax(0, 1fr); gap: 16px; align-items: start; }
section, figure {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 20px; margin: 0 0 16px;
}
ul.limits { margin: 0; padding-left: 18px; } ul.limits li { margin-bottom: 8px; }
.scroll { overflow-x: auto; margin-bottom: 14px; } .scroll:last-child { margin-bottom: 0; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); padding-bottom: 6px; }
th, td { text-align: left; vertical-align: top; padding: 6px 10px; border-bottom: 1px solid var(--line); }
th:first-child { padding-left: 0; } tbody tr:last-child > * { border-bottom: 0; }
thead th { font-weight: 600; color: var(--muted); white-space: nowrap; }
tbody th { font-weight: 550; overflow-wrap: anywhere; min-width: 5.5em; }
.numbers tbody th { overflow-wrap: break-word; min-width: 7.5em; }
.numbers td, .numbers thead th:not(:first-child) { text-align: right; white-space: nowrap; }
.checks thead th:first-child { width: 36%; } .checks td:last-child { min-width: 9em; }
details.folded { border-top: 1px solid var(--line); font-size: 14px; } .scroll + details.folded { margin-top: -14px; }
.folded summary { display: flex; gap: 12px; align-items: baseline; padding: 8px 0; }
.folded summary::before { content: "▸"; color: var(--muted); } .folded[open] summary::before { content: "▾"; }
.folded summary::-webkit-details-marker { display: none; }
.folded strong { flex: 1; font-weight: 550; } .folded caption { display: none; }
.data table { font-size: 13px; } .data thead th { white-space: normal; }
.data td, .data tbody th { overflow-wrap: break-word; } .data code { white-space: nowrap; font-size: 11.5px; }
.data th, .data td { padding-right: 10px; padding-left: 0; min-width: 0; }
table.facts { width: auto; min-width: 50%; } .facts th { width: 17em; color: var(--muted); font-weight: 500; }
.facts td { overflow-wrap: anywhere; }
.chip {
  display: inline-block; color: #ffffff; border-radius: 4px; padding: 1px 8px; font-size: 12px; font-weight: 700;
  white-space: nowrap;
}
.halves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); gap: 0 28px; }
.halves .scroll, .halves .scroll:last-child { margin-bottom: 14px; }
.columns { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 16px; }
figure img { display: block; width: 100%; height: auto; background: #ffffff; border-radius: 6px; padding: 6px; }
figure { margin: 0; } .columns figure:first-child { grid-column: 1 / -1; }
figure:first-child img { max-width: 900px; margin: 0 auto; } figcaption { font-weight: 600; margin-bottom: 8px; }
code, pre { font: 12.5px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; margin: 6px 0 0; padding: 10px; background: var(--stripe); border-radius: 6px; }
summary { cursor: pointer; }
@media (max-width: 820px) {
  .pair, .columns, .verdict { grid-template-columns: minmax(0, 1fr); } main { padding: 12px; }
  .pair > :last-child { order: -1; }
  .verdict { padding: 14px 18px; } .verdict .word { font-size: 30px; } section, figure { padding: 14px 16px; }
}
@media (max-width: 600px) {
  caption { position: sticky; left: 0; max-width: calc(100vw - 60px); }
  .checks thead { display: none; } .checks table, .checks tbody, .checks caption { display: block; }
  .checks tr { display: grid; grid-template-columns: 1fr auto; gap: 2px 12px; padding: 10px 0; }
  .checks tr + tr { border-top: 1px solid var(--line); }
  .checks th, .checks td { border: 0; padding: 0; } .checks td:nth-child(n + 3) { grid-column: 1 / -1; }
  .checks td:last-child { color: var(--muted); } .checks td:last-child::before { content: "demanded: "; }
  .columns figure { border: 0; padding: 0; overflow-x: auto; } figure img { padding: 0; min-width: 600px; }
  figcaption { position: sticky; left: 0; }
  .facts th, .facts td { display: block; width: auto; padding: 4px 0 0; border: 0; } .facts td { padding-bottom: 6px; }
  .facts tr { display: block; border-bottom: 1px solid var(--line); }
  .facts, .facts tbody, .facts caption { display: block; }
}
@media print {
  :root { --page: #ffffff; --card: #ffffff; --ink: #000000; --muted: #444444; --line: #bbbbbb; --stripe: #f3f3f3;
    --warn: #ffffff; --link: #000000; --pass: #00664a; --fail: #a63d00; --insufficient: #7a5200; color-scheme: light; }
  body { font-size: 10.5pt; } main { max-width: none; padding: 0; } table { font-size: 9pt; }
  nav { display: none; } .pair { display: block; } .columns { grid-template-columns: 1fr 1fr; gap: 8pt; }
  .scroll { overflow: visible; } section, figure { border: 0; padding: 0 0 8pt; }
  figure, tr, .verdict, .warning, li { break-inside: avoid; } h2, caption { break-after: avoid; }
  .numbers table, code { font-size: 8pt; } .numbers th, .numbers td { padding: 3pt 4pt; }
  .numbers thead th, thead th { white-space: normal; }
  details.folded::details-content { content-visibility: visible; block-size: auto; }
  .verdict, .chip { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
