"""The look of the page: one style sheet, system fonts, light and dark."""

STYLE = """
:root { color-scheme: light dark;
  --ink: #1c1e21; --soft: #5f6670; --faint: #d9dce1; --paper: #fdfdfc; --panel: #f4f5f3;
  --holds: #1b7f4b; --fails: #b3372b; --undecided: #946400; --open: #6b7280; --link: #1d5fa8; }
@media (prefers-color-scheme: dark) { :root {
  --ink: #e4e6e9; --soft: #9aa2ad; --faint: #363b42; --paper: #15171a; --panel: #1d2024;
  --holds: #4cc38a; --fails: #f0776b; --undecided: #dca53c; --open: #9aa2ad; --link: #79b4f2; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16.5px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 50rem; margin: 0 auto; padding: 3.5rem 1.5rem 5rem; }
h1 { font-size: 1.95rem; line-height: 1.2; letter-spacing: -.015em; margin: 0 0 .5rem; text-wrap: balance; }
h2 { font-size: 1.2rem; letter-spacing: -.005em; margin: 3.2rem 0 .9rem; }
h3 { font-size: 1.02rem; margin: 2rem 0 .4rem; }
p { margin: .5rem 0; } .soft { color: var(--soft); } small, .small { font-size: .875rem; }
.eyebrow { color: var(--soft); font-size: .875rem; margin: 0 0 .6rem; }
.tally { display: flex; flex-wrap: wrap; gap: .4rem 2.2rem; margin: 1.8rem 0 0; padding: 1.1rem 0;
  border-block: 1px solid var(--faint); }
.tally b { font-size: 2.1rem; font-weight: 650; line-height: 1.1; margin-right: .45rem;
  font-variant-numeric: tabular-nums; }
.holds { --c: var(--holds); } .fails { --c: var(--fails); } .undecided { --c: var(--undecided); }
.not-measured { --c: var(--open); }
.tally span { color: var(--c); white-space: nowrap; }
.claim { border-left: 3px solid var(--c); padding: .1rem 0 .1rem 1.2rem; margin: 2rem 0; }
.claim h3 { margin: 0 0 .15rem; font-size: 1.08rem; }
.verdict { color: var(--c); font-weight: 650; font-size: .9375rem; margin: 0 0 .25rem; }
.figures { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: .8rem 0 .4rem; padding: 0; }
.figures div { min-width: 6rem; } .figures dt { color: var(--soft); font-size: .8125rem; }
.figures dd { margin: 0; font-variant-numeric: tabular-nums; }
.interval { display: block; width: 100%; max-width: 26rem; height: auto;
  margin: .5rem 0 .2rem; color: var(--c); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; min-width: 60%; font-size: .9375rem; font-variant-numeric: tabular-nums; }
th, td { padding: .42rem .9rem .42rem 0; text-align: left; vertical-align: baseline; white-space: nowrap; }
th { color: var(--soft); font-weight: 500; border-bottom: 1px solid var(--ink); }
td { border-bottom: 1px solid var(--faint); } .n { text-align: right; padding-right: 1.4rem; }
td.long { white-space: normal; }
figure { margin: 1.6rem 0 2.4rem; } figure svg, figure img { width: 100%; height: auto; display: block; }
figcaption { color: var(--soft); font-size: .9rem; margin-top: .5rem; max-width: 42rem; }
pre { background: var(--panel); border-radius: 6px; padding: .85rem 1rem; overflow-x: auto;
  font-size: .85rem; line-height: 1.5; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
details { margin: .5rem 0; } summary { cursor: pointer; color: var(--soft); font-size: .9rem; }
.alarm { border-left: 3px solid var(--fails); padding-left: 1.2rem; }
@media print { main { padding: 0; max-width: none; } details > * { display: block; } }
"""
