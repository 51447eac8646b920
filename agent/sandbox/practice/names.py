"""Invented people: names with the oddities real lists have, phones, e-mails, addresses.

Numbers are from the ranges kept free for fiction (555-01xx, 020 7946 0xxx), mail domains are the
reserved example ones. Pure; imports nothing of ours.
"""

from __future__ import annotations

import unicodedata
from random import Random
from typing import NamedTuple


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_F = _words(
    "Ada Agnes Alma Amara Anaïs Anika Bea Bianca Brontë Camila Carla Celeste Chidinma Chloë Clara "
    "Dalia Dorothea Edith Eilidh Elif Émilie Esme Fatou Fern Flora Freya Gemma Gwen Hana Hedda "
    "Ilse Imani Ines Ingrid Iris Jasmine Jolene Josefína June Kaia Keiko Lara Leilani Lena Lucía "
    "Mabel Maëlle Maeve Marisol Mei Mila Nadia Neve Nora Odette Olive Oona Paloma Petra Pilar "
    "Priya Quinn Rania Rosa Ruth Saoirse Selma Siobhán Sonja Sunniva Tamsin Thea Uma Vera Wilma "
    "Xenia Yara Yuki Zadie Zoë"
)
FIRST_M = _words(
    "Abel Adil Alasdair Alden Amos Anders André Anton Arlo Arun Axel Barnaby Bastien Ben Björn "
    "Callum Caspar Cedric Cyrus Dariusz Dmitri Ebbe Edgar Eero Eli Emil Enzo Fabian Felix Finn "
    "François Gael Gideon Goran Gus Hamid Hector Hugo Ibrahim Igor Ivo Jago Jasper João Jonas "
    "Jorge José Jürgen Kai Kofi Lars Leon Levi Luca Magnus Marek Mateo Milo Nils Noah Obi Oskar "
    "Otto Pavel Pedro Per Quentin Rafael Ravi René Rhys Rolf Samir Seán Silas Søren Stefan Tariq "
    "Theo Tomás Ulf Victor Wendell Wim Xavier Yusuf Zeno"
)
LAST = _words(
    "Abara Achterberg Adeyemi Alder Amsel Andersson Ashdown Baptiste Barrow Beaumont Bergström "
    "Birch Blackwood Bonfils Brandt Briar Caldwell Cardoso Castañeda Chaudhry Claymore Corbin "
    "Dahl Delacroix Dimas Dovetail Drummond Eastlake Echeverría Elmwood Eriksen Fairweather "
    "Falkner Farrow Fenwick Ferreira Figueroa Fjeld Flint Fontaine Frost Gallo García Garrick "
    "Gaultier Goldfinch Grünwald Gutiérrez Hale Hallström Hargrove Hawthorn Heath Hoang Holloway "
    "Ibáñez Ives Jansson Jarvis Juniper Kaczmarek Kessler Kimura Kowalczyk Lachance Lapointe "
    "Larkspur Lindqvist Lockhart Łukasik MacAllister Madrigal Marlowe Mbeki McTavish Meadows "
    "Mehta Menéndez Merriweather Mistry Moreau Moss Müller Nakagawa Nielsen Novák Oakes Odum "
    "Okafor Oleander Ortega Pacheco Palmqvist Pérez Petrov Pickering Quennell Quiroga Ramsay "
    "Redfern Reyes Rosewood Rowan Sandoval Sato Schäfer Sedgewick Sørensen Sparrow Stavros "
    "Stonebridge Svensson Tamm Thackeray Thorne Tran Underhill Valdés Vance Vasquez Vogel "
    "Wainwright Weaver Whitlock Wójcik Wren Yamada Yarrow Zamora Zeller"
)
ODD_LAST = (
    "O'Brien-Núñez", "Đặng", "李", "van der Berg", "de la Cruz y Villanueva", "X", "MCDONALD",
    "o'leary", "Nguyễn", "St. John-Smythe", "Al-Hashimi", "Ng", "D'Souza", "ten  Brink",
    "Wolfeschlegelsteinhausenbergerdorff-Featherstonehaugh-Cholmondeley", "Κωνσταντίνου",
    "Иванова", "Smith Jr.", "Test\\Case", "Beyoğlu",
)  # fmt: skip
ODD_FIRST = ("J", "Mary Ann", "jean-luc", "Nuala (Nell)", "小红", "Thanh", "A. J.", "Ольга", "Jo ")
STREETS = (
    "Larch Walk", "Mill Lane", "Harbor Street", "Orchard Road", "Quarry Hill", "Station Avenue",
    "Meadow Court", "Ferry Landing", "Chapel Row", "Old Post Road", "Kiln Close", "Birch Crescent",
)  # fmt: skip
CITIES = (
    ("Millbrook", "NY", "10001"), ("Harborside", "NY", "10002"), ("North Ridge", "NJ", "07001"),
    ("Fairview", "NJ", "07002"), ("Old Town", "CT", "06001"), ("Westgate", "PA", "18001"),
)  # fmt: skip
AREA_CODES = _words(
    "201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 224 225 228 229 231 234 "
    "239 240 248 251 252 253 254 256 260 262 267 269 270 276 281 301 302 303 304 305 307 308 309 "
    "310 312 313 314 315 316 317 318 319 320 321 323 325 330 331 334 336 337 339 347 351 352 360 "
    "361 386 401 402 404 405 406 407 408 409 410 412 413 414 415 417 419 423 424 425 430 432 434 "
    "435 440 443 469 478 479 480 484 501 502 503 504 505 507 508 509 510 512 513 515 516 517 518 "
    "520 530 540 541 551 559 561 562 563 567 570 571 573 574 575 580 585 586 601 602 603 605 606 "
    "607 608 609 610 612 614 615 616 617 618 619 620 623 626 630 631 636 641 646 650 651 660 661 "
    "662 678 682 701 702 703 704 706 707 708 712 713 714 715 716 717 718 719 720 724 727 731 732 "
    "734 740 754 757 760 763 765 770 772 773 774 775 781 785 786 801 802 803 804 805 806 808 810"
)
MAIL_DOMAINS = ("example.com", "example.com", "example.org", "example.net", "mail.example.com")


class Phone(NamedTuple):
    stored: str  # as the office typed it, or as the program formatted it
    digits: str


def ascii_of(text: str) -> str:
    """Lower-case ASCII letters of a name, for e-mail addresses; may be empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return "".join(ch for ch in plain.lower() if ch.isalnum())


def last_name(rng: Random) -> str:
    if rng.random() < 0.04:
        return ODD_LAST[int(rng.random() * len(ODD_LAST))]
    name = LAST[int(rng.random() * len(LAST))]
    if rng.random() < 0.03:
        return f"{name}-{LAST[int(rng.random() * len(LAST))]}"
    return name


def first_name(rng: Random, female: bool) -> str:
    if rng.random() < 0.02:
        return ODD_FIRST[int(rng.random() * len(ODD_FIRST))]
    pool = FIRST_F if female else FIRST_M
    return pool[int(rng.random() * len(pool))]


def phone(rng: Random) -> Phone:
    """Mostly ``(aaa)555-01xx`` as the program formats it; a few as somebody typed them."""
    area = AREA_CODES[int(rng.random() * len(AREA_CODES))]
    line = f"01{int(rng.random() * 100):02d}"
    digits = f"{area}555{line}"
    roll = rng.random()
    if roll < 0.93:
        return Phone(f"({area})555-{line}", digits)
    if roll < 0.95:
        return Phone(f"1({area})555-{line}", digits)
    if roll < 0.965:
        return Phone(f"{area}-555-{line}", digits)
    if roll < 0.975:
        return Phone(f"({area})555-{line} x{1 + int(rng.random() * 99)}", digits)
    if roll < 0.985:
        return Phone(f"{area}.555.{line}", digits)
    if roll < 0.995:
        tail = f"0{int(rng.random() * 1000):03d}"
        return Phone(f"+44 20 7946 {tail}", f"442079460{tail[1:]}")
    return Phone("none", "")


def email(rng: Random, first: str, last: str) -> str:
    domain = MAIL_DOMAINS[int(rng.random() * len(MAIL_DOMAINS))]
    stem = ".".join(part for part in (ascii_of(first), ascii_of(last)) if part) or "patient"
    number = int(rng.random() * 900) + 10
    address = f"{stem[:40]}{number}@{domain}"
    roll = rng.random()
    if roll < 0.94:
        return address
    if roll < 0.96:
        return address.upper()
    if roll < 0.98:
        return f"{address}; {stem[:20]}@{domain}"
    if roll < 0.99:
        return f" {address} "
    return f"{stem}@"  # typed in a hurry: not an address at all


def address(rng: Random) -> tuple[str, str, str, str, str]:
    """Address, Address2, City, State, Zip."""
    city, state, zip_code = CITIES[int(rng.random() * len(CITIES))]
    street = f"{1 + int(rng.random() * 940)} {STREETS[int(rng.random() * len(STREETS))]}"
    second = f"Apt {1 + int(rng.random() * 60)}" if rng.random() < 0.2 else ""
    if rng.random() < 0.1:
        zip_code = f"{zip_code}-{int(rng.random() * 10000):04d}"
    return street, second, city, state, zip_code
