// The style sheet of a report. No < or & may occur in it.
#pragma once

#include <string_view>

namespace tapestry {

inline constexpr std::string_view kReportStyle = R"css(
:root{color-scheme:light dark;--page:#f6f8fa;--panel:#ffffff;--ink:#1f2328;--soft:#59636e;--line:#d9dfe5;
  --accent:#0072b2;--notice:#fff8e5;--notice-line:#e69f00;--stripe:#f6f8fa}
@media(prefers-color-scheme:dark){:root{--page:#0d1117;--panel:#151b23;--ink:#e6edf3;--soft:#9198a1;--line:#2a313a;
  --accent:#4ba3e3;--notice:#2a2410;--notice-line:#f2b43c;--stripe:#1a212b}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
  font:15px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}
main{max-width:1120px;margin:0 auto;padding:40px 24px 56px}
header{margin-bottom:28px}
h1{font-size:30px;line-height:1.2;letter-spacing:-.02em;margin:0;overflow-wrap:anywhere}
header p{color:var(--soft);font-size:16px;margin:6px 0 0}
h2{font-size:19px;letter-spacing:-.01em;margin:40px 0 14px}
p{margin:0 0 14px;max-width:75ch;overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:14px}
.card,.panel{background:var(--panel);border:1px solid var(--line);border-radius:12px}
.card{padding:16px 18px}
.card .label{color:var(--soft);font-size:13px}
.card .value{font-size:27px;font-weight:650;letter-spacing:-.02em;line-height:1.3;overflow-wrap:anywhere;
  font-variant-numeric:tabular-nums}
.card .remark{color:var(--soft);font-size:13px}
.card:first-child .value{color:var(--accent)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:14px;margin-bottom:14px}
figure{margin:0 0 14px;padding:16px 18px;overflow-x:auto}
.figures figure{margin:0}
figure svg{display:block;width:100%;height:auto;min-width:460px}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(var(--width),1fr));gap:12px 8px}
.gallery img{display:block;width:var(--width);height:auto;image-rendering:pixelated;border-radius:4px}
.gallery b,.gallery span{display:block;font-size:12px;line-height:1.35;overflow-wrap:anywhere}
.gallery b{font-weight:600;margin-top:5px}
.gallery span{color:var(--soft);font-variant-numeric:tabular-nums}
figcaption{color:var(--soft);font-size:13px;margin-top:8px}
.scroll{overflow-x:auto;margin-bottom:14px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{padding:8px 16px;text-align:left;border-top:1px solid var(--line);vertical-align:top}
thead th{border-top:0;color:var(--soft);font-weight:600;font-size:13px;white-space:nowrap}
tbody tr:nth-child(even){background:var(--stripe)}
tr.ruled td{border-top:2px solid var(--soft);font-weight:600}
.right{text-align:right;white-space:nowrap}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,320px),1fr));margin:0 0 14px;
  padding:8px 18px;column-gap:40px}
dl div{display:flex;justify-content:space-between;gap:20px;padding:7px 0;font-size:14px;
  border-bottom:1px solid var(--line)}
dt{color:var(--soft);white-space:nowrap}
dd{margin:0;text-align:right;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
pre{margin:0 0 14px;padding:14px 18px;overflow-x:auto;font:13px/1.5 ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace}
.notice{background:var(--notice);border-left:4px solid var(--notice-line);border-radius:6px;padding:10px 16px;
  max-width:none;margin:18px 0}
footer{color:var(--soft);font-size:13px;margin-top:44px;padding-top:16px;border-top:1px solid var(--line)}
@media(max-width:560px){main{padding:24px 14px 40px}h1{font-size:24px}}
@media print{body{background:#fff}main{max-width:none;padding:0}.panel,.card{break-inside:avoid}}
)css";

}  // namespace tapestry
