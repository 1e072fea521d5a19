"""Word lists of the generated tasks, written for this project: what `generated.py` fills its templates with.

Every list has a `train` and a `dev` side without an entry in common, so no dev label can be had by
remembering a word of the training set: it takes a model that already knows what the words mean.
"""

from __future__ import annotations

from dataclasses import dataclass


def _phrases(text: str) -> tuple[str, ...]:
    """The parts between commas."""
    return tuple(" ".join(part.split()) for part in text.split(","))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


@dataclass(frozen=True)
class Domain:
    """One kind of thing people have opinions on: `The SUBJECT was GOOD.` or a whole clause, `GOOD_EVENT.`"""

    subjects: tuple[str, ...]
    good: tuple[str, ...]  # adjectives
    bad: tuple[str, ...]
    good_events: tuple[str, ...]  # complete clauses in the past tense
    bad_events: tuple[str, ...]


def _domain(subjects: str, good: str, bad: str, good_events: str, bad_events: str) -> Domain:
    return Domain(_phrases(subjects), _phrases(good), _phrases(bad), _lines(good_events), _lines(bad_events))


@dataclass(frozen=True)
class Opposites:
    """Two meanings that exclude each other, with two interchangeable phrases for each."""

    one: tuple[str, str]
    other: tuple[str, str]

    @property
    def phrases(self) -> tuple[str, ...]:
        return self.one + self.other


def _opposites(text: str) -> tuple[Opposites, ...]:
    """Lines `a = b / c = d`: a and b mean the same, c and d mean the same."""
    found = []
    for line in _lines(text):
        (a, b), (c, d) = ([phrase.strip() for phrase in side.split("=")] for side in line.split("/"))
        found.append(Opposites((a, b), (c, d)))
    return tuple(found)


@dataclass(frozen=True)
class Deed:
    """What people do to things: `The doctor VERBED the OBJECT.`"""

    verbs: Opposites  # past tense
    objects: tuple[str, ...]  # that fit all four verbs


def _deeds(text: str) -> tuple[Deed, ...]:
    """Lines `a = b / c = d: object, object`."""
    found = []
    for line in _lines(text):
        verbs, objects = line.split(":")
        found.append(Deed(_opposites(verbs)[0], _phrases(objects)))
    return tuple(found)


@dataclass(frozen=True)
class SameWords:
    """One side (train or dev) of the vocabulary of `same`."""

    people: tuple[Opposites, ...]  # nouns
    traits: tuple[Opposites, ...]  # adjectives for people
    places: tuple[str, ...]  # nouns
    qualities: tuple[Opposites, ...]  # adjectives for places
    deeds: tuple[Deed, ...]


MOOD: dict[str, tuple[Domain, ...]] = {
    "train": (
        _domain(
            "soup, pasta, curry, bread, coffee, salad, breakfast, chicken",
            "delicious, tasty, fresh, superb, well seasoned, mouthwatering, lovely, amazing",
            "bland, stale, greasy, burnt, soggy, disgusting, overcooked, sour",
            """
            we asked for a second helping
            the staff remembered our names
            everyone praised the cook
            I would order it again
            we tipped the waiter well
            my parents still rave about it
            """,
            """
            we left most of it on the plate
            the staff ignored us all evening
            everyone complained to the cook
            I would never order it again
            they charged us twice
            my parents felt ill afterwards
            """,
        ),
        _domain(
            "film, novel, play, concert, story, ending, acting, comedy",
            "brilliant, gripping, funny, touching, clever, wonderful, fascinating, memorable",
            "boring, predictable, silly, terrible, confusing, shallow, pointless, annoying",
            """
            the crowd cheered and clapped
            we laughed until we cried
            everyone was smiling at the end
            I told all my friends to go
            the critics praised it
            I enjoyed every scene
            """,
            """
            the crowd booed and whistled
            we yawned the whole time
            half of the audience walked out
            I warned all my friends about it
            the critics hated it
            I disliked every scene
            """,
        ),
        _domain(
            "waiter, nurse, driver, guide, teacher, clerk, manager, barber",
            "friendly, helpful, polite, patient, cheerful, caring, honest, professional",
            "rude, lazy, careless, unfriendly, arrogant, slow, dishonest, impatient",
            """
            they went out of their way for us
            they upgraded us for free
            she listened to every question
            he smiled and thanked us
            they refunded us without any fuss
            I felt in safe hands
            """,
            """
            they kept us waiting for hours
            they tried to cheat us
            she rolled her eyes at every question
            he swore and slammed the door
            they refused to give us a refund
            I felt like a nuisance
            """,
        ),
        _domain(
            "room, hotel, garden, beach, cabin, bathroom, lobby, balcony",
            "clean, cozy, beautiful, spacious, bright, peaceful, comfortable, stylish",
            "dirty, noisy, ugly, cramped, gloomy, smelly, damp, dangerous",
            """
            I slept like a baby
            the children begged to come back
            we stayed an hour longer than planned
            we already booked for next year
            the view took our breath away
            we felt right at home
            """,
            """
            I did not sleep at all
            the children begged to go home
            we could not wait to leave
            we cancelled the rest of our stay
            the smell made us sick
            we felt cheated
            """,
        ),
        _domain(
            "phone, laptop, camera, kettle, printer, blender, jacket, radio",
            "reliable, sturdy, handy, well made, excellent, efficient, useful, perfect",
            "faulty, flimsy, useless, badly made, awful, inefficient, broken, horrible",
            """
            it worked on the first try
            the battery lasted all week
            the parcel came a day early
            I would buy it again
            it saves me hours of work
            it was a real bargain
            """,
            """
            it broke on the first day
            the battery died within an hour
            the parcel never arrived
            I sent it straight back
            it cost me hours of work
            it was a waste of money
            """,
        ),
    ),
    "dev": (
        _domain(
            "stew, pizza, rice, cake, dessert, steak, lunch, fish",
            "scrumptious, heavenly, appetizing, juicy, exquisite, divine, yummy, flavorful",
            "tasteless, rotten, inedible, revolting, moldy, lukewarm, watery, undercooked",
            """
            we licked our spoons clean
            the owner greeted us like old friends
            they gave us free drinks to celebrate
            my sister wanted the recipe
            it was worth every penny
            I gave it five stars
            """,
            """
            it made both of us throw up
            the owner shouted at us
            they added hidden fees to the bill
            my sister spat it out
            it was not worth a single penny
            I gave it one star
            """,
        ),
        _domain(
            "movie, book, musical, documentary, show, plot, script, sequel",
            "hilarious, captivating, masterful, moving, entertaining, witty, spectacular, thrilling",
            "dull, tedious, dreadful, forgettable, lame, ridiculous, atrocious, unwatchable",
            """
            the viewers rose to their feet
            time flew by
            I could not stop grinning
            it won several awards
            I recommended it to my brother
            it brightened up my whole week
            """,
            """
            people around us fell asleep
            every minute felt like an eternity
            I wanted my money back
            it failed completely
            I told my brother to stay away
            it ruined my whole week
            """,
        ),
        _domain(
            "waitress, doctor, pilot, tutor, cashier, landlord, receptionist, plumber",
            "kind, courteous, attentive, gracious, welcoming, competent, generous, thoughtful",
            "hostile, impolite, clumsy, grumpy, insulting, incompetent, greedy, unhelpful",
            """
            our problem was solved in minutes
            they apologized and made up for it
            he calmed us down and took care of us
            she deserves a promotion
            my wife was over the moon
            we were treated like royalty
            """,
            """
            our problem was only made worse
            they lied and blamed us for it
            he laughed at us and hung up
            she deserves to be fired
            my wife was in tears
            we were treated like criminals
            """,
        ),
        _domain(
            "apartment, museum, park, village, terrace, kitchen, lounge, campsite",
            "spotless, charming, tidy, picturesque, tranquil, gorgeous, inviting, elegant",
            "filthy, shabby, hideous, depressing, overcrowded, neglected, messy, freezing",
            """
            we fell in love with the place
            my son asked when we could return
            I woke up rested and happy
            it was the highlight of our trip
            it was like paradise
            the photos did not do it justice
            """,
            """
            we regretted ever coming
            my son cried to be picked up
            I woke up covered in bites
            it spoiled our trip
            it was like a nightmare
            there were rats everywhere
            """,
        ),
        _domain(
            "tablet, watch, vacuum, heater, toaster, bicycle, backpack, keyboard",
            "dependable, durable, practical, impressive, flawless, outstanding, ingenious, superior",
            "defective, fragile, worthless, disappointing, overpriced, unreliable, impractical, shoddy",
            """
            it still runs like new after years
            it was delivered sooner than promised
            I have never owned a better one
            it makes my life so much easier
            all of my colleagues want one
            it exceeded our hopes
            """,
            """
            it stopped working after a week
            it was delivered weeks too late
            I have never owned a worse one
            it drives me crazy
            it ended up in the trash
            it caught fire
            """,
        ),
    ),
}

SAME: dict[str, SameWords] = {
    "train": SameWords(
        people=_opposites("""
            doctor = physician / lawyer = attorney
            teacher = instructor / student = pupil
            author = writer / painter = artist
            chef = cook / waiter = server
            boss = supervisor / worker = employee
            policeman = cop / thief = burglar
            boy = lad / girl = lass
            guest = visitor / janitor = caretaker
            salesman = vendor / shopper = customer
            sailor = seaman / pilot = aviator
            detective = investigator / gardener = groundskeeper
            judge = magistrate / actor = performer
            nanny = babysitter / maid = housekeeper
            politician = statesman / cowboy = rancher
        """),
        traits=_opposites("""
            happy = glad / sad = unhappy
            rich = wealthy / poor = penniless
            clever = smart / stupid = foolish
            calm = relaxed / angry = furious
            polite = courteous / rude = impolite
            hardworking = diligent / lazy = idle
            healthy = fit / sick = ill
            strong = powerful / weak = feeble
            brave = courageous / cowardly = timid
            awake = alert / sleepy = drowsy
            funny = humorous / serious = solemn
            modest = humble / arrogant = conceited
            fast = quick / slow = sluggish
            lucky = fortunate / unlucky = unfortunate
            loyal = faithful / disloyal = treacherous
        """),
        places=_phrases("room, house, shop, hotel, park, station, kitchen, library, village, cabin"),
        qualities=_opposites("""
            big = large / small = tiny
            clean = spotless / dirty = filthy
            noisy = loud / quiet = silent
            dark = dim / bright = well-lit
            crowded = packed / empty = deserted
            expensive = costly / cheap = inexpensive
            safe = secure / dangerous = hazardous
            fancy = elegant / plain = simple
            ancient = centuries-old / new = brand-new
        """),
        deeds=_deeds("""
            bought = purchased / sold = auctioned: car, house, painting, horse
            repaired = fixed / damaged = wrecked: roof, bridge, fence, boat
            hired = employed / fired = dismissed: clown, tutor, translator, cleaner
            started = began / finished = completed: project, puzzle, course, race
            found = located / lost = misplaced: keys, wallet, map, ticket
            praised = complimented / scolded = reprimanded: team, choir, mayor, kids
            closed = shut / opened = unlocked: door, gate, window, box
            liked = enjoyed / hated = disliked: film, song, soup, trip
            cleaned = washed / stained = soiled: carpet, shirt, table, blanket
            collected = gathered / scattered = strewed: coins, leaves, papers, shells
            loaded = filled / emptied = cleared out: truck, wagon, van, freezer
            increased = boosted / reduced = cut: price, budget, speed, rent
            copied = duplicated / deleted = erased: file, tape, message, recording
            tied = fastened / untied = loosened: rope, knot, laces, ribbon
        """),
    ),
    "dev": SameWords(
        people=_opposites("""
            father = dad / mother = mom
            scientist = researcher / singer = vocalist
            driver = chauffeur / passenger = traveler
            soldier = trooper / priest = clergyman
            child = kid / adult = grown-up
            champion = winner / coach = trainer
            accountant = bookkeeper / tailor = dressmaker
            king = monarch / servant = butler
            enemy = foe / friend = buddy
            professor = lecturer / reporter = journalist
            expert = specialist / beginner = novice
            prisoner = inmate / watchman = guard
        """),
        traits=_opposites("""
            energetic = lively / tired = exhausted
            fearless = unafraid / scared = afraid
            famous = well known / unknown = obscure
            careful = cautious / careless = reckless
            honest = truthful / deceitful = dishonest
            generous = charitable / stingy = miserly
            thin = skinny / fat = overweight
            young = youthful / old = elderly
            outgoing = sociable / shy = bashful
            handsome = good-looking / ugly = unattractive
            full = well fed / hungry = starving
            flexible = adaptable / stubborn = obstinate
            certain = sure / confused = puzzled
            grateful = thankful / ungrateful = thankless
        """),
        places=_phrases("office, garden, street, museum, school, beach, cellar, theater, castle, attic"),
        qualities=_opposites("""
            wide = broad / narrow = tight
            tidy = neat / messy = cluttered
            hot = sweltering / cold = chilly
            modern = contemporary / outdated = old-fashioned
            beautiful = gorgeous / hideous = unsightly
            popular = well-liked / unpopular = shunned
            normal = ordinary / strange = odd
            intact = undamaged / ruined = destroyed
            inviting = welcoming / scary = frightening
        """),
        deeds=_deeds("""
            built = constructed / demolished = tore down: tower, barn, wall, hut
            hid = concealed / showed = displayed: letter, knife, jewels, photo
            helped = assisted / hindered = obstructed: farmer, crew, police, firemen
            lifted = raised / lowered = let down: flag, curtain, anchor, blinds
            accepted = agreed to / rejected = turned down: offer, plan, deal, proposal
            kept = held on to / discarded = threw away: receipt, coat, bottles, toys
            captured = caught / released = set free: lion, spy, hostage, bird
            supported = backed / opposed = resisted: law, strike, reform, queen
            comforted = soothed / frightened = terrified: puppy, baby, widow, pony
            permitted = allowed / banned = prohibited: game, dance, march, party
            watched = observed / ignored = paid no attention to: parade, clock, sunset, game
            split = divided / combined = merged: group, company, estate, list
        """),
    ),
}
