// Filters and searches the domains of the page. Text from hosts is only ever put in as text, never as markup.
(function () {
  "use strict";
  const PAGE = 100;
  const UNHEALTHY = 1, CHANGES = 2, OFF = 4, NEW = 8;
  const data = JSON.parse(document.getElementById("audit-data").textContent);
  const form = document.getElementById("filters");
  const results = document.getElementById("results");
  const count = document.getElementById("count");
  const more = document.getElementById("more");
  const rows = [];
  let found = [];
  let shown = 0;

  data.hosts.forEach(function (host, number) {
    host.domains.forEach(function (domain) {
      const [name, flags, mailboxes, problems = [], actions = [], lines = [], commands = []] = domain;
      const text = [name, host.name, ...problems, ...actions].join("\n").toLowerCase();
      rows.push({ name, flags, mailboxes, problems, actions, lines, commands, host, number, text });
    });
  });

  function element(tag, text, kind) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }

  function list(title, sentences) {
    if (!sentences.length) return [];
    const made = element("ul");
    sentences.forEach((sentence) => made.append(element("li", sentence)));
    return [element("h4", title), made];
  }

  function difference(lines) {
    if (!lines.length) return [];
    const made = element("pre");
    lines.forEach(function (line) {
      made.append(element(line[0] === "+" ? "ins" : line[0] === "-" ? "del" : "span", line));
    });
    return [made];
  }

  function badges(flags) {
    const made = [];
    if (flags & UNHEALTHY) made.push(element("span", "not healthy", "badge bad"));
    if (flags & CHANGES) made.push(element("span", flags & NEW ? "would be created" : "would change", "badge change"));
    if (!(flags & (UNHEALTHY | CHANGES))) made.push(element("span", "healthy", "badge good"));
    if (flags & OFF) made.push(element("span", "off", "badge off"));
    return made.flatMap((badge) => [badge, " "]);
  }

  function article(row) {
    const isShort = !(row.flags & (UNHEALTHY | CHANGES));
    const made = element("article", undefined, isShort ? "domain short" : "domain");
    const title = element("h3", row.name + " ");
    title.append(...badges(row.flags));
    const place = element("p", "on ", "soft");
    const link = element("a", row.host.name);
    link.href = "#host-" + row.number;
    place.append(link, row.flags & NEW ? "" : ", " + row.mailboxes + (row.mailboxes === 1 ? " mailbox" : " mailboxes"));
    made.append(title, place, ...list("What is wrong", row.problems), ...list("What a run would do", row.actions), ...difference(row.lines));
    if (row.commands.length) {
      made.append(element("h4", "What mends it"));
      row.commands.forEach(function (number) {
        const box = element("pre");
        box.append(element("code", data.commands[number], "command"));
        made.append(box);
      });
    } else if (row.problems.length) {
      made.append(element("p", "No command mends this by itself: declare or do what is said above.", "soft"));
    }
    return made;
  }

  function showMore(takesFocus) {
    const part = found.slice(shown, shown + PAGE).map(article);
    results.append(...part);
    shown += part.length;
    more.hidden = shown >= found.length;
    more.textContent = "Show " + Math.min(PAGE, found.length - shown) + " more of " + (found.length - shown).toLocaleString("en");
    if (takesFocus && part.length) {
      part[0].tabIndex = -1;
      part[0].focus();
    }
  }

  function isWanted(row, show) {
    if (show === "problems") return row.flags & (UNHEALTHY | CHANGES);
    if (show === "unhealthy") return row.flags & UNHEALTHY;
    if (show === "changes") return row.flags & CHANGES;
    if (show === "off") return row.flags & OFF;
    return true;
  }

  function search() {
    const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const show = form.elements.show.value;
    const host = form.elements.host.value;
    found = rows.filter(function (row) {
      return (host === "" || row.number === Number(host)) && isWanted(row, show) && words.every((word) => row.text.includes(word));
    });
    shown = 0;
    results.replaceChildren();
    showMore(false);
    count.textContent = found.length === 0 ? "No domain is like that." :
      found.length.toLocaleString("en") + " of " + rows.length.toLocaleString("en") + " domains";
  }

  let waiting = 0;
  form.addEventListener("input", function (event) {
    clearTimeout(waiting);
    waiting = setTimeout(search, event.target.type === "search" ? 150 : 0);
  });
  form.addEventListener("submit", function (event) { event.preventDefault(); search(); });
  more.addEventListener("click", () => showMore(true));
  // What is folded is on paper as well.
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
  form.hidden = false;
  search();
})();
