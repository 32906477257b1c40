const light = `
--surface:#fcfcfb;--raised:#fff;--ink:#0b0b0b;--soft:#52514e;--grid:#e1e0d9;--axis:#c3c2b7;
--s1:#2a78d6;--s2:#eb6834;--s3:#1baf7a;--s4:#eda100;--s5:#e87ba4;--s6:#008300;--other:#b5b3a8;
--good:#006300;--bad:#b52020;
--less3:#1c5cab;--less2:#6da7ec;--less1:#cde2fb;--even:#f0efec;--more1:#fbd9d7;--more2:#ee8b89;--more3:#b52020;
--on-strong:#fff;--on-weak:#0b0b0b;`

const dark = `
--surface:#1a1a19;--raised:#222221;--ink:#fff;--soft:#c3c2b7;--grid:#2c2c2a;--axis:#4a4a46;
--s1:#3987e5;--s2:#d95926;--s3:#199e70;--s4:#c98500;--s5:#d55181;--s6:#4aa34a;--other:#6f6e68;
--good:#0ca30c;--bad:#f06a69;
--less3:#86b6ef;--less2:#2a78d6;--less1:#184f95;--even:#383835;--more1:#6b2524;--more2:#b93a39;--more3:#f29b9a;
--on-strong:#0b0b0b;--on-weak:#fff;`

const seriesColours = [1, 2, 3, 4, 5, 6].map((n) => `.s${n}{--colour:var(--s${n})}`).join('')

const cellColours = ['less3', 'less2', 'less1', 'even', 'more1', 'more2', 'more3']
  .map((step) => `.${step}{--colour:var(--${step})}`)
  .join('')

/** Colours are named once for light and once for dark; everything is at least 11 pixels on a phone. */
export const style: string = `
:root{color-scheme:light dark;${light}}
@media (prefers-color-scheme:dark){:root{${dark}}}
*{box-sizing:border-box}
body{margin:0;background:var(--surface);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:16px}
h1{font-size:26px;line-height:1.2}h2{font-size:20px;margin:40px 0 8px}
p{max-width:70ch}a{color:var(--s1)}code,pre{font-family:ui-monospace,monospace;font-size:13px}
code{overflow-wrap:anywhere}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;margin:16px 0}
.warning{border-left:4px solid var(--s4);padding-left:12px}
.scroll{overflow-x:auto;margin:12px 0}
table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:4px 12px 4px 0;border-bottom:1px solid var(--grid);vertical-align:top}
th:first-child,td:first-child{min-width:10em}td:not(:first-child),th{white-space:nowrap}
th{color:var(--soft);font-weight:500}td code{overflow-wrap:normal;white-space:nowrap}
.pass{color:var(--good)}.fail{color:var(--bad);font-weight:700}
pre{overflow-x:auto;background:var(--raised);border:1px solid var(--grid);border-radius:6px;padding:12px}
summary{cursor:pointer;color:var(--soft)}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr));gap:16px;margin:16px 0}
figure{margin:0;padding:12px;background:var(--raised);border:1px solid var(--grid);border-radius:6px;min-width:0}
figcaption{font-weight:600;font-size:14px;margin-bottom:6px}figcaption span{color:var(--soft);font-weight:400}
svg{display:block;width:100%;max-width:460px;height:auto}
svg text{fill:var(--soft);font:11px system-ui,sans-serif;font-variant-numeric:tabular-nums}
svg text.strong{fill:var(--ink);paint-order:stroke;stroke:var(--raised);stroke-width:4px}
.grid{stroke:var(--grid)}.axis{stroke:var(--axis)}
.line{fill:none;stroke:var(--colour);stroke-width:2;stroke-linejoin:round}
.dot{fill:var(--colour);stroke:var(--raised);stroke-width:1.5}.hit{fill:transparent}
.limit line{stroke:var(--soft);stroke-dasharray:4 3}
.bar .fill{fill:var(--other)}.bar.ours .fill{fill:var(--s1)}.round{fill:var(--ink);stroke:var(--raised)}
.cell rect{fill:var(--colour)}.cell text{fill:var(--on-weak)}
.cell.less3 text,.cell.more3 text{fill:var(--on-strong)}.cell.none rect{fill:none;stroke:var(--grid)}
.cell.none text{fill:var(--soft)}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 14px;margin:0 0 6px;padding:0;font-size:12px;color:var(--soft)}
.legend li::before{content:'';display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px;background:var(--colour)}
${seriesColours}${cellColours}
`
