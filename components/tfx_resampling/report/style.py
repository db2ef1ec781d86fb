"""The style sheet of the report.

Series have colours that differ for the colour-blind too (after Okabe and Ito; factors
after ColorBrewer's PRGn) and stand out from the page by 3 : 1 at least, text by
4.5 : 1. What is side by side on a screen is stacked where the page is narrow. A table
of very many columns scrolls within itself.
"""

CSS = """
:root { color-scheme: light dark;
  --page: #ffffff; --text: #1c2128; --soft: #57606a; --line: #d5d9de;
  --grid: #e6e9ec; --axis: #6e7781; --panel: #f5f7f9; --warn: #9a5b00;
  --warn-page: #fff8e6; --natural: #868e99; --target: #d55e00; --predicted: #0a66ad;
  --drop: #8347a1; --copy: #14793c;
  --heat: 9 79 145; --cell-text: #000; --on-heat: #fff; }
@media (prefers-color-scheme: dark) { :root {
  --page: #14181d; --text: #e4e8ec; --soft: #a2abb5; --line: #3a424c;
  --grid: #2a3038; --axis: #8b949e; --panel: #1c2229; --warn: #f0b35a;
  --warn-page: #2b2416; --natural: #858e99; --target: #f08a3c; --predicted: #4da3e8;
  --drop: #c294d6; --copy: #55b877;
  --heat: 76 152 216; --cell-text: #fff; --on-heat: #000; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "Segoe UI", "Liberation Sans", sans-serif;
  color: var(--text); background: var(--page); margin: 0 auto; max-width: 74rem;
  padding: 2rem 1.5rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; font-weight: 650; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .75rem; font-weight: 650; }
p { max-width: 46rem; margin: .5rem 0; color: var(--soft); }
ul { max-width: 52rem; margin: .75rem 0; padding-left: 1.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
  gap: .75rem; margin: 0 0 1rem; }
.facts div { background: var(--panel); border-radius: .5rem; padding: .6rem .9rem; }
.facts dt { color: var(--soft); font-size: .8rem; }
.facts dd { margin: 0; font-size: 1.35rem; font-weight: 600; line-height: 1.3;
  font-variant-numeric: tabular-nums; }
.warnings { background: var(--warn-page); border-left: 4px solid var(--warn);
  border-radius: .25rem; padding: .75rem 1rem; margin: 1.5rem 0; }
.warnings h2 { margin: 0; color: var(--warn); font-size: 1rem; }
.warnings ul { margin: .25rem 0 0; max-width: none; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; align-items: center;
  font-size: .85rem; margin: .5rem 0 .75rem; }
.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px;
  margin-right: .4rem; vertical-align: -.05rem; }
i.natural { background: var(--natural); } i.target { background: var(--target); }
i.predicted { background: var(--predicted); } i.drop { background: var(--drop); }
i.copy { background: var(--copy); }
.rows { font-variant-numeric: tabular-nums; }
.row { display: grid; align-items: center; column-gap: 1.25rem; padding: 3px 0;
  grid-template-columns: clamp(7rem, 17vw, 13rem) 1.5fr 1fr 3.6rem; }
.row .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  unicode-bidi: plaintext; text-align: left; font-size: .9rem; }
.row .value { text-align: right; font-size: .85rem; white-space: nowrap; }
.row.head { color: var(--soft); font-size: .8rem; padding: 0; }
.row.head .value { font-size: .8rem; }
.plot { position: relative; height: 22px; background: var(--factors); }
.plot.shares { background: var(--shares); padding: 2px 0; }
.plot.shares i { display: block; height: 6px; border-radius: 0 2px 2px 0; }
.plot:not(.shares) i { position: absolute; top: 5px; height: 12px; min-width: 1px;
  border-radius: 2px; }
.ticks { position: relative; height: 1.3rem; }
.ticks span { position: absolute; white-space: nowrap; }
.gap { color: var(--soft); text-align: center; line-height: 1.2; }
.curves { display: grid; gap: 1.5rem; margin: 1rem 0 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
.curve { margin: 0; display: grid; grid-template: "c c" auto "y s" 15rem ". x" auto
  / 3.4rem minmax(0, 1fr); gap: .25rem .5rem; font-size: .8rem; color: var(--soft);
  font-variant-numeric: tabular-nums; }
.curve figcaption { grid-area: c; font-size: .9rem; color: var(--text); }
.curve .y { grid-area: y; position: relative; }
.curve .y span { position: absolute; right: 0; transform: translateY(-50%);
  white-space: nowrap; }
.curve svg { grid-area: s; width: 100%; height: 100%; overflow: visible; }
.curve .x { grid-area: x; display: flex; justify-content: space-between; }
.curve path { vector-effect: non-scaling-stroke; fill: none; }
.curve .grid { stroke: var(--grid); }
.curve path.natural { fill: var(--natural); fill-opacity: .45; }
.curve path.target { stroke: var(--target); stroke-width: 3.5px; }
.curve path.predicted { stroke: var(--predicted); stroke-width: 1.5px; }
.curve path.drop { fill: var(--drop); } .curve path.copy { fill: var(--copy); }
table.heat { table-layout: fixed; width: 100%; max-width: 60rem; font-size: .8rem;
  border-spacing: 2px; border-collapse: separate; }
.heat td:first-child { width: clamp(5.5rem, 16vw, 11rem); }
.heat th { font-weight: 400; text-align: left; overflow: hidden; padding: 0;
  text-overflow: ellipsis; white-space: nowrap; unicode-bidi: plaintext; }
.heat th[scope=row] { text-align: right; padding-right: .5rem; }
.heat th[scope=col] { vertical-align: bottom; text-align: center; }
.heat th[scope=col] span { writing-mode: vertical-rl; transform: rotate(180deg);
  max-height: 8rem; overflow: hidden; text-overflow: ellipsis; display: inline-block;
  line-height: 1; }
table.heat td[style] { background: rgb(var(--heat) / var(--v)); }
.heat td { height: 1.7rem; text-align: center; padding: 0; border-radius: 2px;
  color: var(--cell-text); }
.heat td.strong { color: var(--on-heat); }
.heat td.same { background: repeating-linear-gradient(-45deg, var(--grid) 0 1px,
  transparent 1px 4px); }
.heat tr.cut > * { border-top: 2px solid var(--axis); }
.ramp, .legend .ramp { width: 8rem; height: .8rem; margin: 0 -.7rem;
  background: linear-gradient(90deg, rgb(var(--heat) / 0), rgb(var(--heat))); }
.scroll { overflow-x: auto; }
.labels { width: 100%; max-width: 60rem; }
.labels th, .labels td { padding: .3rem .5rem; text-align: right; vertical-align: top;
  border-bottom: 1px solid var(--line); }
.labels th { color: var(--soft); font-weight: 600; font-size: .85rem;
  vertical-align: bottom; background: var(--page); }
.labels th, .labels td, .given th { overflow-wrap: normal; }
.labels th:first-child, .labels td:first-child { text-align: left; min-width: 4rem;
  unicode-bidi: plaintext; overflow-wrap: anywhere; padding-left: 0; }
.labels th:last-child, .labels td:last-child { padding-right: 0; }
.given { width: 100%; max-width: 60rem; font-size: .9rem; }
.given th { text-align: left; font-weight: 400; color: var(--soft); width: 14rem; }
.given th, .given td { padding: .25rem .75rem .25rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); }
code { font: .85em/1.5 ui-monospace, "Liberation Mono", monospace; }
summary { cursor: pointer; }
@media (min-width: 50rem) { .scroll { overflow: visible; }
  .labels th { position: sticky; top: 0; } }
@media (max-width: 44rem) {
  body { padding: 1rem 1rem 3rem; font-size: 14px; }
  h1 { font-size: 1.3rem; }
  .row { grid-template: "name name name" auto "shares factor value" auto
    / 1.4fr 1fr 3.3rem; column-gap: .75rem; }
  .row .name { grid-area: name; } .row .value { font-size: .8rem; }
  .row.head .name, .ticks .wide { display: none; }
  .facts { grid-template-columns: 1fr 1fr; } .facts dd { font-size: 1.1rem; }
  .curve { grid-template-columns: 2.9rem minmax(0, 1fr); grid-template-rows: auto 11rem
    auto; }
  .labels, .labels thead, .labels tbody, .labels td, .labels th { display: block; }
  .labels tr { display: grid; padding: .35rem 0; border-bottom: 1px solid var(--line);
    font-size: .85rem; gap: 0 .25rem;
    grid-template-columns: repeat(auto-fit, minmax(max(3.5rem, var(--cell)), 1fr)); }
  .labels th, .labels td { padding: 0; border: 0; font-size: inherit; }
  .labels th { align-self: end; font-size: .72rem; }
  .labels th:first-child, .labels td:first-child { grid-column: 1 / -1; }
  .given th { width: 8rem; }
  table.heat { font-size: .68rem; border-spacing: 1px; } .heat td { height: 1.2rem; }
}
@media print { .row, .curve, tr { break-inside: avoid; } body { max-width: none; } }
"""
