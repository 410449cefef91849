"""Relations about codes, numbers and times."""

from nestling.training.told_facts.relation import Relation, code

CODES: tuple[Relation, ...] = (
    code(
        "flight number",
        "flight",
        [
            "{subj} {am|is} flying on {v}",
            "{poss} flight is {v}",
            "{subj} booked flight {v}",
            "{v} is the flight {subj} {am|is} on",
        ],
        [
            ("which flight {am|is} {subj} on", "which flight {subj} {am|is} on"),
            ("what is the number of {poss} flight", "what the number of {poss} flight is"),
            ("which flight did {subj} book", "which flight {subj} booked"),
        ],
        ["{subj} got rebooked on flight {v}", "{poss} flight is {v} now"],
    ),
    code(
        "wifi password",
        "password",
        [
            "the password for {poss} wifi is {v}",
            "the wifi at {poss} place uses the password {v}",
            "{subj} set {poss} wifi password to {v}",
            "{poss} wireless password is {v}",
            "{v} is the password for {poss} wifi",
        ],
        [
            "the password for {poss} wifi",
            ("what password did {subj} set for the wifi", "what password {subj} set for the wifi"),
            "{poss} wireless password",
            ("which password does {poss} wifi use", "which password {poss} wifi uses"),
        ],
        [
            "{subj} changed {poss} wifi password to {v}",
            "{subj} changed the wifi password from {old} to {v}",
        ],
    ),
    code(
        "locker code",
        "code",
        [
            "{poss} locker opens with {v}",
            "the code for {poss} locker is {v}",
            "{subj} {open|opens} {poss} locker with {v}",
            "{v} opens {poss} locker",
            "{subj} set {poss} locker code to {v}",
        ],
        [
            "the code for {poss} locker",
            ("what code opens {poss} locker", "what code opens {poss} locker"),
            ("how {do|does} {subj} open {poss} locker", "how {subj} {open|opens} {poss} locker"),
            (
                "what code did {subj} set for {poss} locker",
                "what code {subj} set for {poss} locker",
            ),
        ],
        ["{subj} changed {poss} locker code to {v}", "{poss} locker opens with {v} now"],
    ),
    code(
        "door code",
        "code",
        [
            "the code for {poss} door is {v}",
            "{poss} front door opens with {v}",
            "{v} opens {poss} front door",
            "{subj} set {poss} door code to {v}",
        ],
        [
            "the code for {poss} door",
            ("what code opens {poss} door", "what code opens {poss} door"),
            (
                "which code {do|does} {subj} use for the door",
                "which code {subj} {use|uses} for the door",
            ),
        ],
        ["{subj} changed {poss} door code to {v}", "{poss} front door opens with {v} now"],
    ),
    code(
        "lucky number",
        "small_number",
        [
            "{subj} always {bet|bets} on {v}, {poss} lucky number",
            "{v} brings {obj} luck",
            "the number that brings {obj} luck is {v}",
            "{subj} {think|thinks} {v} is a lucky number",
        ],
        [
            ("which number brings {obj} luck", "which number brings {obj} luck"),
            ("what number {do|does} {subj} call lucky", "what number {subj} {call|calls} lucky"),
            (
                "which number {do|does} {subj} think is lucky",
                "which number {subj} {think|thinks} is lucky",
            ),
        ],
    ),
    code(
        "parking spot",
        "spot",
        [
            "{subj} {park|parks} in spot {v}",
            "{subj} {park|parks} the car at {v}",
            "{subj} was given parking spot {v}",
            "{poss} car is parked in spot {v}",
            "{v} is where {subj} {park|parks}",
        ],
        [
            ("where {do|does} {subj} park", "where {subj} {park|parks}"),
            ("which spot {do|does} {subj} park in", "which spot {subj} {park|parks} in"),
            "the number of {poss} parking spot",
        ],
        ["{subj} now {park|parks} in spot {v}", "{poss} parking spot moved from {old} to {v}"],
    ),
    code(
        "train number",
        "train",
        [
            "{subj} {am|is} taking train {v}",
            "{subj} {am|is} on train {v}",
            "{poss} train is {v}",
            "{subj} booked train {v}",
        ],
        [
            ("which train {am|is} {subj} taking", "which train {subj} {am|is} taking"),
            ("what is the number of {poss} train", "what the number of {poss} train is"),
            ("which train did {subj} book", "which train {subj} booked"),
        ],
        ["{subj} {am|is} taking train {v} instead of {old}"],
    ),
    code(
        "seat",
        "seat",
        [
            "{subj} {sit|sits} in seat {v}",
            "{subj} {am|is} sitting in seat {v}",
            "{subj} booked seat {v}",
            "{v} is where {subj} {sit|sits}",
        ],
        [
            ("where {do|does} {subj} sit", "where {subj} {sit|sits}"),
            ("which seat did {subj} book", "which seat {subj} booked"),
            "{poss} seat number",
        ],
        ["{subj} moved to seat {v}", "{subj} moved from seat {old} to seat {v}"],
    ),
    code(
        "bus line",
        "bus",
        [
            "{subj} {take|takes} bus {v} to work",
            "{subj} {ride|rides} bus {v}",
            "{poss} bus is the {v}",
            "{subj} {take|takes} the {v} bus",
        ],
        [
            ("which bus {do|does} {subj} take", "which bus {subj} {take|takes}"),
            ("what bus line {do|does} {subj} use", "what bus line {subj} {use|uses}"),
            "the bus {subj} {take|takes}",
        ],
        ["{subj} {take|takes} bus {v} now", "{subj} {take|takes} bus {v} instead of {old}"],
    ),
    code(
        "room number",
        "room",
        [
            "{subj} {am|is} in room {v}",
            "{poss} room is {v}",
            "{subj} {am|is} staying in room {v}",
            "they gave {obj} room {v}",
        ],
        [
            ("which room {am|is} {subj} in", "which room {subj} {am|is} in"),
            ("what room did they give {obj}", "what room they gave {obj}"),
            "the number of {poss} room",
        ],
        ["{subj} moved to room {v}", "{subj} moved from room {old} to room {v}"],
    ),
    code(
        "order number",
        "order",
        [
            "the number of {poss} order is {v}",
            "{subj} placed order {v}",
            "{poss} order is registered as {v}",
            "{v} is the number of {poss} order",
        ],
        [
            "the number of {poss} order",
            ("which order did {subj} place", "which order {subj} placed"),
            ("under which number is {poss} order", "under which number {poss} order is"),
        ],
    ),
    code(
        "badge number",
        "order",
        [
            "the number on {poss} badge is {v}",
            "{poss} badge says {v}",
            "{poss} work badge has the number {v}",
            "{v} is the number on {poss} badge",
        ],
        [
            "the number on {poss} badge",
            ("what number is on {poss} badge", "what number is on {poss} badge"),
            ("what does {poss} badge say", "what {poss} badge says"),
        ],
        ["{subj} got a new badge with the number {v}"],
    ),
    code(
        "phone number",
        "phone_number",
        [
            "you can reach {obj} at {v}",
            "{subj} can be reached at {v}",
            "{v} is the number to reach {obj}",
            "the number to call {obj} is {v}",
        ],
        [
            ("how can people reach {obj} by phone", "how people can reach {obj} by phone"),
            (
                "which number should people call to reach {obj}",
                "which number people should call to reach {obj}",
            ),
            "the number to call {obj}",
        ],
        ["you can reach {obj} at {v} now", "{subj} got a new phone number, {v}"],
    ),
    code(
        "licence plate",
        "plate",
        [
            "{poss} car has the licence plate {v}",
            "the plate on {poss} car says {v}",
            "the plate of {poss} car is {v}",
            "{v} is the plate on {poss} car",
        ],
        [
            "the plate on {poss} car",
            ("what plate does {poss} car have", "what plate {poss} car has"),
            ("what is the plate number of {poss} car", "what the plate number of {poss} car is"),
        ],
    ),
    code(
        "house number",
        "house_number",
        [
            "{subj} {live|lives} at number {v}",
            "the number on {poss} house is {v}",
            "{poss} house has the number {v}",
            "{v} is the number on {poss} door",
        ],
        [
            "the number on {poss} house",
            ("what number is {poss} house", "what number {poss} house is"),
            ("at what number {do|does} {subj} live", "at what number {subj} {live|lives}"),
        ],
        ["{subj} {live|lives} at number {v} now"],
    ),
    code(
        "alarm time",
        "time",
        [
            "{subj} {get|gets} up at {v}",
            "{poss} alarm rings at {v}",
            "{poss} alarm is set for {v}",
            "{subj} set {poss} alarm for {v}",
            "{v} is when {poss} alarm rings",
        ],
        [
            ("when does {poss} alarm ring", "when {poss} alarm rings"),
            ("when {do|does} {subj} get up", "when {subj} {get|gets} up"),
            ("what time is {poss} alarm set for", "what time {poss} alarm is set for"),
        ],
        ["{subj} moved {poss} alarm to {v}", "{poss} alarm rings at {v} now"],
    ),
)
