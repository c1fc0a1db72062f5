"""Pages as a reader has them."""

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Reader(HTMLParser):
    """Collects words and the cells of tables, and holds that tags close in the order in which they opened."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.words, self.rows, self.attributes = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open[-1:] == [tag], f"</{tag}> after {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if "style" in self.open or "svg" in self.open:
            return
        self.words.append(data)
        if self.open and set(self.open) & {"td", "th"}:
            self.rows[-1][-1] += data


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def text(page):
    """All that is read, on one line."""
    return " ".join("".join(read(page).words).split())


def cells(page):
    """Of every row of every table."""
    return [[" ".join(cell.split()) for cell in row] for row in read(page).rows]
