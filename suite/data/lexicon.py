"""Word lists of the generated tasks, written for this project: what `generated.py` fills its templates with.

Every list has a `train` and a `dev` side without a common word, so that no dev label can be had by remembering a word of
the training set: it takes a model that already knows what the words mean.
"""

from __future__ import annotations

from dataclasses import dataclass


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in text.split(","))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


@dataclass(frozen=True)
class Domain:
    """Something people give opinions on: `The SUBJECT was ADJECTIVE.`"""

    subjects: tuple[str, ...]
    good: tuple[str, ...]
    bad: tuple[str, ...]


@dataclass(frozen=True)
class MoodWords:
    """One side (train or dev) of the vocabulary of `mood`."""

    domains: tuple[Domain, ...]
    good_events: tuple[str, ...]  # complete clauses in the past tense that make a visit a good one
    bad_events: tuple[str, ...]


@dataclass(frozen=True)
class Opposites:
    """Two meanings that exclude each other, two interchangeable phrases for each."""

    one: tuple[str, str]
    other: tuple[str, str]


def _opposites(text: str) -> tuple[Opposites, ...]:
    """Lines `a = b / c = d`: a and b mean the same, c and d mean the same, the two meanings exclude each other."""
    groups = []
    for line in _lines(text):
        one, other = ([phrase.strip() for phrase in side.split("=")] for side in line.split("/"))
        groups.append(Opposites((one[0], one[1]), (other[0], other[1])))
    return tuple(groups)


@dataclass(frozen=True)
class SameWords:
    """One side (train or dev) of the vocabulary of `same`."""

    people: tuple[Opposites, ...]  # nouns after `the`
    traits: tuple[Opposites, ...]  # adjectives for people
    places: tuple[str, ...]  # nouns after `the`
    qualities: tuple[Opposites, ...]  # adjectives for places
    deeds: tuple[
        tuple[Opposites, tuple[str, ...]], ...
    ]  # transitive verbs in the past tense, with objects that fit
    moments: tuple[Opposites, ...]  # adverbials at the end of a clause


MOOD = {
    "train": MoodWords(
        domains=(
            Domain(
                _phrases("soup, pasta, curry, bread, coffee, salad, breakfast, chicken"),
                _phrases("delicious, tasty, fresh, superb, perfectly seasoned, mouthwatering, lovely"),
                _phrases("bland, stale, greasy, burnt, soggy, disgusting, overcooked"),
            ),
            Domain(
                _phrases("film, novel, play, concert, story, ending, acting"),
                _phrases("brilliant, gripping, funny, touching, clever, wonderful, fascinating"),
                _phrases("boring, predictable, silly, terrible, confusing, shallow, pointless"),
            ),
            Domain(
                _phrases("waiter, nurse, driver, guide, teacher, clerk, manager"),
                _phrases("friendly, helpful, polite, patient, cheerful, caring, honest"),
                _phrases("rude, lazy, careless, unfriendly, arrogant, slow, dishonest"),
            ),
            Domain(
                _phrases("room, hotel, garden, beach, cabin, bathroom, lobby"),
                _phrases("clean, cozy, beautiful, spacious, bright, peaceful, comfortable"),
                _phrases("dirty, noisy, ugly, cramped, gloomy, smelly, damp"),
            ),
            Domain(
                _phrases("phone, laptop, camera, kettle, printer, blender, jacket"),
                _phrases("reliable, sturdy, handy, well made, excellent, easy to use, a bargain"),
                _phrases("faulty, flimsy, useless, badly made, awful, hard to use, a waste of money"),
            ),
        ),
        good_events=_lines("""
            we asked for a second helping
            the staff remembered our names
            they upgraded us for free
            everyone was smiling at the end
            we stayed an hour longer than planned
            I told all my friends about it
            the parcel came a day early
            the children begged to come back
            they refunded us without any fuss
            I slept like a baby
            the crowd cheered and clapped
            we laughed until we cried
            I would order it again
            it worked on the first try
            they went out of their way for us
            the battery lasted all week
            my parents still rave about it
            we already booked for next year
        """),
        bad_events=_lines("""
            we left most of it on the plate
            the staff ignored us all evening
            they charged us twice
            half of the audience walked out
            we could not wait to leave
            I warned all my friends about it
            the parcel never arrived
            the children begged to go home
            they refused to give us a refund
            I did not sleep at all
            the crowd booed and whistled
            we yawned the whole time
            I would never order it again
            it broke on the first day
            they kept us waiting for hours
            the battery died within an hour
            my parents still complain about it
            we cancelled the rest of our stay
        """),
    ),
    "dev": MoodWords(
        domains=(
            Domain(
                _phrases("stew, pizza, rice, cake, dessert, steak, lunch, fish"),
                _phrases("scrumptious, heavenly, appetizing, juicy, exquisite, divine, yummy, flavorful"),
                _phrases("tasteless, rotten, inedible, revolting, moldy, lukewarm, watery, far too salty"),
            ),
            Domain(
                _phrases("movie, book, musical, documentary, show, plot, script, sequel"),
                _phrases(
                    "hilarious, captivating, masterful, moving, entertaining, witty, spectacular, thrilling"
                ),
                _phrases("dull, tedious, dreadful, forgettable, lame, ridiculous, atrocious, unwatchable"),
            ),
            Domain(
                _phrases("waitress, doctor, pilot, tutor, cashier, landlord, receptionist, plumber"),
                _phrases("kind, courteous, attentive, gracious, welcoming, competent, generous, thoughtful"),
                _phrases("hostile, impolite, clumsy, grumpy, insulting, incompetent, greedy, unhelpful"),
            ),
            Domain(
                _phrases("apartment, museum, park, village, terrace, kitchen, lounge, campsite"),
                _phrases("spotless, charming, tidy, picturesque, tranquil, gorgeous, inviting, elegant"),
                _phrases("filthy, shabby, hideous, depressing, overcrowded, run down, messy, freezing"),
            ),
            Domain(
                _phrases("tablet, watch, vacuum, heater, toaster, bicycle, backpack, keyboard"),
                _phrases(
                    "dependable, durable, practical, impressive, a joy to use, great value, flawless, first class"
                ),
                _phrases(
                    "defective, fragile, worthless, disappointing, a pain to use, overpriced, junk, unreliable"
                ),
            ),
        ),
        good_events=_lines("""
            we licked our spoons clean
            the owner greeted us like old friends
            they gave us extra dessert on the house
            the audience rose to its feet
            time flew by
            I recommended it to my sister
            it was delivered sooner than promised
            my son asked when we could return
            they replaced it at once and apologized
            I woke up rested and happy
            I could not stop grinning
            it was worth every penny
            we fell in love with the place
            it still runs perfectly after years
            they solved our problem in minutes
            I gave it five stars
            my wife was over the moon
            it was the highlight of our trip
        """),
        bad_events=_lines("""
            it made both of us sick
            the owner shouted at us
            they added hidden fees to the bill
            people around us fell asleep
            every minute felt like an hour
            I told my sister to stay away
            it was delivered weeks too late
            my son cried to be picked up
            they never answered our complaints
            I woke up covered in bites
            I wanted my money back
            it was not worth a single penny
            we regretted ever coming
            it stopped working after a week
            they made our problem even worse
            I gave it one star
            my wife was in tears
            it ruined our trip
        """),
    ),
}

SAME = {
    "train": SameWords(
        people=_opposites("""
            doctor = physician / lawyer = attorney
            teacher = instructor / student = pupil
            author = writer / painter = artist
            chef = cook / waiter = server
            boss = manager / worker = employee
            policeman = cop / thief = robber
            boy = lad / girl = young lady
            guest = visitor / host = landlord
        """),
        traits=_opposites("""
            happy = glad / sad = unhappy
            rich = wealthy / poor = penniless
            clever = smart / stupid = foolish
            angry = furious / calm = relaxed
            polite = courteous / rude = impolite
            lazy = idle / hardworking = diligent
            sick = ill / healthy = fit
            strong = powerful / weak = feeble
            brave = courageous / cowardly = timid
            sleepy = drowsy / alert = wide awake
        """),
        places=_phrases("room, house, shop, hotel, park, station, kitchen, library"),
        qualities=_opposites("""
            big = large / small = little
            clean = spotless / dirty = filthy
            noisy = loud / quiet = silent
            dark = dim / bright = sunny
            crowded = packed / empty = deserted
            expensive = costly / cheap = inexpensive
            safe = secure / dangerous = hazardous
            closed = shut / open = accessible
        """),
        deeds=tuple(
            (verbs, objects)
            for verbs, objects in zip(
                _opposites("""
                    bought = purchased / sold = auctioned
                    repaired = fixed / damaged = wrecked
                    hired = employed / fired = dismissed
                    started = began / finished = completed
                    found = located / lost = misplaced
                    praised = complimented / criticized = blamed
                    closed = shut / opened = unlocked
                    liked = enjoyed / hated = disliked
                """),
                (
                    _phrases("car, house, painting, horse"),
                    _phrases("roof, bridge, fence, boat"),
                    _phrases("driver, gardener, nurse, cleaner"),
                    _phrases("project, painting, course, race"),
                    _phrases("keys, wallet, map, ticket"),
                    _phrases("team, choir, mayor, driver"),
                    _phrases("door, gate, window, box"),
                    _phrases("film, song, soup, trip"),
                ),
                strict=True,
            )
        ),
        moments=_opposites("""
            at dawn = at sunrise / at dusk = at sunset
            quickly = rapidly / slowly = without haste
            often = frequently / rarely = seldom
            in the fall = in autumn / in the spring = in springtime
            on purpose = deliberately / by accident = accidentally
        """),
    ),
    "dev": SameWords(
        people=_opposites("""
            father = dad / mother = mom
            scientist = researcher / musician = band member
            driver = chauffeur / passenger = traveler
            customer = shopper / seller = vendor
            soldier = trooper / priest = clergyman
            child = kid / adult = grown man
            champion = winner / loser = beaten player
            neighbor = man next door / stranger = unknown man
        """),
        traits=_opposites("""
            tired = exhausted / energetic = full of energy
            scared = afraid / fearless = unafraid
            famous = well known / unknown = obscure
            careful = cautious / careless = reckless
            honest = truthful / dishonest = deceitful
            generous = giving / stingy = miserly
            thin = skinny / fat = overweight
            old = elderly / young = youthful
            shy = bashful / outgoing = sociable
            kind = gentle / cruel = brutal
            worried = anxious / confident = untroubled
            pretty = attractive / ugly = unattractive
        """),
        places=_phrases("office, garden, street, museum, school, beach, cellar, theater"),
        qualities=_opposites("""
            wide = broad / narrow = cramped
            tidy = neat / messy = cluttered
            cold = chilly / hot = very warm
            modern = contemporary / outdated = old-fashioned
            beautiful = gorgeous / hideous = ugly
            wet = soaked / dry = free of water
            far away = distant / nearby = close
            strange = odd / normal = ordinary
        """),
        deeds=tuple(
            (verbs, objects)
            for verbs, objects in zip(
                _opposites("""
                    built = constructed / destroyed = demolished
                    hid = concealed / showed = displayed
                    helped = assisted / hindered = obstructed
                    raised = lifted / lowered = put down
                    accepted = agreed to / rejected = turned down
                    kept = held on to / discarded = threw away
                    captured = caught / released = set free
                    remembered = recalled / forgot = had no memory of
                """),
                (
                    _phrases("tower, barn, wall, hut"),
                    _phrases("letter, knife, jewels, photo"),
                    _phrases("farmer, crew, police, firemen"),
                    _phrases("flag, curtain, anchor, blinds"),
                    _phrases("offer, plan, deal, proposal"),
                    _phrases("receipt, old coat, bottles, box"),
                    _phrases("lion, spy, prisoner, bird"),
                    _phrases("address, poem, name, story"),
                ),
                strict=True,
            )
        ),
        moments=_opposites("""
            at noon = at midday / at midnight = in the middle of the night
            immediately = right away / eventually = after a long time
            every year = annually / every day = daily
            in secret = secretly / in public = openly
            together = jointly / alone = single-handedly
        """),
    ),
}
