"""Passages about facts that change.

Every way of stating a thing serves the current value and former ones alike. What tells them apart is what a sentence
says: since when, until when, as of when, who followed whom. Dates of revisions help where a sentence has no time of its
own, and mislead where an old statement stands in a new revision or on another page.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from draws import chance, day_between, draw, invented, moment, month, pick, shuffled
from subjects import FIRST_DAY, LAST_DAY, Fact, Row, Value, passage

#: The latest revision of a page is at most this old when the questions are asked: a whole year, as months that only
#: older revisions have would be a lexical hint.
LATEST_FROM = date(2024, 1, 1)
#: Names of those to come are announced from here on.
ANNOUNCED_FROM = date(2024, 6, 1)

#: The mention, among the insufficient sections, that names the value before the current one.
MENTIONS_FORMER = 4

OWN, LIST, OTHER = "own", "list", "other"


def joined(introduction: str, sentence: str) -> str:
    """An introduction and the sentence behind it: small where a comma stands between them."""
    small = introduction.endswith(", ") and sentence.partition(" ")[0] in (
        "The",
        "It",
        "Asked",
        "Under",
        "Nobody",
        "A",
        "At",
        "In",
    )
    return introduction + (sentence[:1].lower() + sentence[1:] if small else sentence)


class Writer:
    """Writes the passages of one fact."""

    def __init__(self, fact: Fact) -> None:
        self.fact = fact
        self.now = fact.values[-1]
        self.past = fact.values[:-1]
        self.latest = day_between(max(self.now.first, LATEST_FROM), LAST_DAY, "latest revision", fact.key)
        #: Revisions since the current value began: some keep a statement of it, some an old one, some neither.
        self.recent = [
            max(day_between(self.now.first, self.latest, "recent", n, turn, fact.key) for turn in range(2))
            for n in range(2)
        ]
        kind = fact.template["invented"]
        if fact.relation == "title_holder" and any(word in fact.kind for word in ("league", "competition")):
            kind = "team"
        self._invented = kind
        self._people = fact.relation == "title_holder"  # whoever works beside a team is a person

    def name(self, part: str, number: int = 0) -> str:
        """Who plays a part that nobody real plays; the same person in every passage."""
        kind = "person" if part.startswith("deputy") and self._invented == "team" and self._people else self._invented
        return invented(kind, self.fact.subject, self.fact.key, part, number)

    def stamp(self, day: date, *key: object) -> str:
        """A time on that day; a revision has one time for all of its sections."""
        revision = day == self.latest or day in self.recent
        return moment(day, self.fact.key, "revision") if revision else moment(day, self.fact.key, *key)

    def recently(self, day: date, *key: object) -> str:
        """A month before that day, mostly not long before."""
        first = max(FIRST_DAY, day - timedelta(days=500)) if chance(0.7, "recently", *key) else FIRST_DAY
        return month(day_between(min(first, day), day, "month", *key))

    def aside(self, day: date, *key: object) -> str:
        """A sentence whose month means nothing."""
        return self.fact.frame("asides", "aside", *key).format(month=self.recently(day, "aside", *key))

    # sentences that state a value

    def stated(self, form: str, value: Value, day: date, *key: object) -> str:
        """A sentence about a value; forms that do not fit the day fall back to one that does."""
        fact, place = self.fact, self.fact.values.index(value)
        years = day.year - int(value.start[:4])
        if form == "retrospective" and years < 2:
            form = "change"
        if form == "change" and place == 0:
            form = "start"
        names: dict[str, object] = {"value": value.name, "since": value.since, "year": day.year, "n": years}
        if form == "change":
            names["previous"] = fact.values[place - 1].name
        if form == "former":
            names["next"] = fact.values[place + 1].since
        if form == "asof":
            end = min(value.last, day)
            checked = day_between(min(value.first + timedelta(days=31), end), end, "as of", *key)
            sentence = fact.fill(fact.frame("state", *key), **names)
            return joined(fact.frame("asof", *key).format(asof=month(checked)), sentence)
        return fact.fill(fact.frame(form, *key), **names)

    def other(self, form: str, day: date, number: int, *key: object) -> str:
        """A sentence that names somebody who does not hold, or not yet."""
        fact = self.fact
        # Nobody is talked of, or stands beside, for ever: every few years it is somebody else.
        era = "" if form in ("announced", "interim") else str((day.year + draw("era", fact.key) % 2) // 2)
        names: dict[str, object] = {"other": self.name(f"{form}{era}", number)}
        names["month"] = self.recently(day, form, *key)
        names["when"] = month(LAST_DAY + timedelta(days=40 + draw("when", fact.key, number) % 600))
        names["since"] = pick(self.fact.values, "interim", fact.key).since
        return fact.fill(fact.frame(form, *key), **names)

    def mention(self, value: Value, day: date, *key: object) -> str:
        """A sentence that names a value and says nothing of it."""
        # Of a release nobody writes before it is there.
        when = month(day) if self._invented == "release" else self.recently(day, *key)
        return self.fact.fill(self.fact.frame("mention", *key), value=value.name, month=when)

    # sections

    def section(self, main: str, page: str, day: date, key: Sequence[object], *, value: Value | None = None) -> Row:
        """A section of two to five sentences around a main one; what stands around it is drawn for all alike."""
        fact = self.fact
        around = [self.aside(day, *key)]
        for form, share in (("deputy", 0.35), ("rumour", 0.25), ("denied", 0.25)):
            if chance(share, form, *key):
                around.append(self.other(form, day, draw("who", form, *key) % 2, "around", form, *key))
        known = [each for each in self.past if each.first <= day]
        if known and chance(0.25, "mention", *key):
            around.append(self.mention(pick(known, "mentioned", *key), day, "around", *key))
        # Beside a section that states nothing it would be a statement, of another label.
        if value and day >= ANNOUNCED_FROM and chance(0.35, "announced", *key):
            around.append(self.other("announced", day, 0, "around", "announced", *key))
        earlier = [each for each in self.past if value and each.start < value.start]
        if earlier and chance(0.4, "earlier", *key):
            form = pick(("former", "change", "retrospective", "former"), "earlier form", *key)
            around.append(self.stated(form, pick(earlier, "earlier value", *key), day, "earlier", *key))
        around += [fact.fill(text) for text in shuffled(fact.template["fillers"], "fillers", *key)[:1]]
        count = 1 + draw("length", *key) % 3
        around = [sentence for sentence in shuffled(around, "around", *key) if sentence != main]
        sentences = shuffled([main, *around[:count]], "order", *key)
        headings = ["", *fact.template["headings"]]
        title = fact.fill(fact.template["title"])
        if page == LIST:
            title, headings = fact.fill(fact.template["list_title"]), ["", "Overview", "Notes", "Chronology"]
        elif page == OTHER:
            title, headings = (value or self.now).name, ["", "Offices and events", "Chronology", "In brief"]
        return passage(title, pick(headings, "heading", *key), sentences, self.stamp(day, *key))

    def plain_section(self, day: date, number: int, salt: int) -> Row:
        """A section of the page that names nobody."""
        fact, key = self.fact, (self.fact.key, "plain", number, salt)
        pile = shuffled([*fact.template["others"], *fact.template["fillers"]], "plain", *key)
        sentences = [fact.fill(sentence) for sentence in pile[: 1 + draw("length", *key) % 3]]
        sentences.append(self.aside(day, *key))
        headings = shuffled(fact.template["other_headings"], "headings", fact.key)
        title = fact.fill(fact.template["title"])
        return passage(title, headings[number % len(headings)], sentences, self.stamp(day, *key))

    # what a pool needs

    def positives(self, salt: int) -> list[tuple[Row, str]]:
        """One or two statements of the current value, on the page, before or in its latest revision, or elsewhere."""
        rows: list[tuple[Row, str]] = []
        for number in range(1 + chance(0.5, "positives", self.fact.key)):
            key = (self.fact.key, "positive", number, salt)
            form = pick(("state", "asof", "change", "start", "retrospective", "asof", "start"), "form", *key)
            page = pick((OWN, OWN, OWN, LIST, LIST, OTHER), "page", *key)
            day = max(day_between(self.now.first, self.latest, "day", turn, *key) for turn in range(2))
            if page == OWN:
                day = (
                    self.latest if number == 0 and chance(0.35, "latest", *key) else pick(self.recent, "revision", *key)
                )
            row = self.section(self.stated(form, self.now, day, *key), page, day, key, value=self.now)
            rows.append((row, ""))
        # Unchanged text in a later revision.
        first = date.fromisoformat(rows[0][0]["timestamp"][:10])
        last = self.latest if rows[0][0]["title"] == self.fact.fill(self.fact.template["title"]) else LAST_DAY
        if first < last and chance(0.35, "again", self.fact.key):
            day = day_between(first + timedelta(days=1), last, "again", self.fact.key)
            rows.append((self.again(rows[0][0], day), ""))
        return rows

    def again(self, row: Row, day: date) -> Row:
        """The same section in another revision of its page."""
        return passage(row["title"], row["section"], [row["text"]], self.stamp(day, "again", row["_id"]))

    def versions(self, salt: int) -> list[tuple[Row, str]]:
        """Older revisions of the page, right on their day."""
        rows = []
        for number in range(4):
            value = self.past[-1 - number % len(self.past)]
            key = (self.fact.key, "version", number, salt)
            day = day_between(value.first, value.last, "day", *key)
            form = pick(("state", "state", "asof", "change"), "form", *key)
            row = self.section(self.stated(form, value, day, *key), OWN, day, key, value=value)
            rows.append((row, "version"))
        return rows

    def stale(self, salt: int) -> list[tuple[Row, str]]:
        """A former value in a revision that is newer than its end, on the page or on another one."""
        rows = []
        for number in range(12):
            key = (self.fact.key, "stale", number, salt)
            place = draw("value", *key) % len(self.past)
            place = max(place, draw("value again", *key) % len(self.past))  # mostly the one before
            value = self.past[place]
            form = pick(("asof", "change", "change", "change", "retrospective", "asof", "former"), "form", *key)
            page = pick((OWN, OWN, LIST, OTHER), "page", *key)
            earliest = self.fact.values[place + 1].first
            day = min(day_between(earliest, LAST_DAY, "day", turn, *key) for turn in range(2))
            conflict = "cross-document"
            if page == OWN:
                day = (self.latest, pick(self.recent, "revision", *key), min(day, self.latest))[number % 3]
                if day < earliest:
                    day = self.latest
                conflict = "history" if day == self.latest else "version"
            row = self.section(self.stated(form, value, day, *key), page, day, key, value=value)
            rows.append((row, conflict))
        return rows

    def others(self, salt: int) -> list[tuple[Row, str]]:
        """Somebody who is announced, or stood in for some days."""
        rows = []
        for number, form in enumerate(("announced", "announced", "interim")):
            key = (self.fact.key, form, number, salt)
            first = max(self.now.first, ANNOUNCED_FROM)
            page = pick((OWN, LIST), "page", *key)
            day = self.latest if page == OWN and self.latest >= first else day_between(first, LAST_DAY, "day", *key)
            if page == OWN:
                day = min(day, self.latest)
            main = self.other(form, day, 0, *key)
            conflict = form
            if form == "interim":
                conflict = "cross-document" if page == LIST else "history" if day == self.latest else "version"
            elif day < ANNOUNCED_FROM:
                continue
            rows.append((self.section(main, page, day, key), conflict))
        return rows

    def insufficient(self, salt: int) -> list[tuple[Row, str]]:
        """Sections of the page that name nobody, or somebody else: a deputy, a rumour, a false report."""
        rows = []
        for number in range(7):
            key = (self.fact.key, "insufficient", number, salt)
            day = day_between(self.past[0].first, self.latest, "day", *key)
            day = (self.latest, pick(self.recent, "revision", *key), day)[number % 3]
            form = ("mention", "deputy", "", "rumour", "mention", "denied", "")[number]
            if not form:
                rows.append((self.plain_section(day, number, salt), ""))
                continue
            if form == "mention":
                value = self.past[-1] if number == MENTIONS_FORMER else self.now
                if self._invented == "release":  # nobody writes about it before it is there
                    day = max(day, value.first)
                rows.append((self.section(self.mention(value, day, *key), OWN, day, key), ""))
                continue
            rows.append((self.section(self.other(form, day, number % 2, *key), OWN, day, key), ""))
        return rows


def write(fact: Fact, salt: int = 0) -> None:
    """All rows of a fact by label."""
    writer = Writer(fact)
    fact.rows = {
        "positive": writer.positives(salt),
        "outdated": [*writer.versions(salt), *writer.stale(salt), *writer.others(salt)],
        "insufficient": writer.insufficient(salt),
    }
