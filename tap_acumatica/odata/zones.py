"""Acumatica's time zones: the code that its cookie shows, and the zone of the IANA database.

The codes and their names are those of the list in Acumatica's user profile, as reported by users.
The IANA zones beside them are inferred from the names; some are approximate. A code that is not
here proves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ZONES: Final[Mapping[str, str]] = {
    "GMTM1200A": "Etc/GMT+12",  # International Date Line West
    "GMTM1000A": "Pacific/Honolulu",  # Hawaii
    "GMTM0900A": "America/Anchorage",  # Alaska
    "GMTM0800A": "America/Los_Angeles",  # Pacific Time (US & Canada)
    "GMTM0800G": "America/Tijuana",  # Tijuana, Baja California
    "GMTM0700A": "America/Phoenix",  # Arizona
    "GMTM0700G": "America/Mazatlan",  # Chihuahua, La Paz, Mazatlan
    "GMTM0700S": "America/Denver",  # Mountain Time (US & Canada)
    "GMTM0600A": "America/Guatemala",  # Central America
    "GMTM0600G": "America/Chicago",  # Central Time (US & Canada)
    "GMTM0600M": "America/Mexico_City",  # Guadalajara, Mexico City, Monterrey
    "GMTM0600Y": "America/Regina",  # Saskatchewan
    "GMTM0500A": "America/Bogota",  # Bogota, Lima, Quito, Rio Branco
    "GMTM0500G": "America/New_York",  # Eastern Time (US & Canada)
    "GMTM0500M": "America/Indiana/Indianapolis",  # Indiana (East)
    "GMTM0400A": "America/Halifax",  # Atlantic Time (Canada)
    "GMTM0400Y": "America/Caracas",  # Caracas
    "GMTM0400G": "America/La_Paz",  # La Paz
    "GMTM0400M": "America/Manaus",  # Manaus
    "GMTM0400S": "America/Santiago",  # Santiago
    "GMTM0330A": "America/St_Johns",  # Newfoundland
    "GMTM0300A": "America/Sao_Paulo",  # Brasilia
    "GMTM0300G": "America/Argentina/Buenos_Aires",  # Buenos Aires, Georgetown
    "GMTM0300M": "America/Nuuk",  # Greenland
    "GMTM0300S": "America/Montevideo",  # Montevideo
    "GMTM0200A": "Etc/GMT+2",  # Mid-Atlantic
    "GMTM0100A": "Atlantic/Azores",  # Azores
    "GMTM0100M": "Atlantic/Cape_Verde",  # Cape Verde Is.
    "GMTE0000A": "Africa/Casablanca",  # Casablanca
    "GMTE0000K": "Europe/London",  # Dublin, Edinburgh, Lisbon, London
    "GMTE0000B": "Atlantic/Reykjavik",  # Monrovia, Reykjavik
    "GMTE0000U": "UTC",  # Universal Standard Time
    "GMTP0100A": "Europe/Berlin",  # Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna
    "GMTP0100G": "Europe/Budapest",  # Belgrade, Bratislava, Budapest, Ljubljana, Prague
    "GMTP0100M": "Europe/Paris",  # Brussels, Copenhagen, Madrid, Paris
    "GMTP0100S": "Europe/Warsaw",  # Sarajevo, Skopje, Warsaw, Zagreb
    "GMTP0100Y": "Africa/Lagos",  # West Central Africa
    "GMTP0200A": "Asia/Amman",  # Amman
    "GMTP0200D": "Europe/Bucharest",  # Athens, Bucharest, Istanbul
    "GMTP0200G": "Asia/Beirut",  # Beirut
    "GMTP0200J": "Africa/Cairo",  # Cairo
    "GMTP0200M": "Africa/Johannesburg",  # Harare, Pretoria
    "GMTP0200P": "Europe/Kyiv",  # Helsinki, Kyiv, Riga, Sofia, Tallinn, Vilnius
    "GMTP0200S": "Asia/Jerusalem",  # Jerusalem
    "GMTP0200V": "Europe/Minsk",  # Minsk
    "GMTP0200Y": "Africa/Windhoek",  # Windhoek
    "GMTP0300A": "Asia/Baghdad",  # Baghdad
    "GMTP0300G": "Asia/Riyadh",  # Kuwait, Riyadh
    "GMTP0300M": "Europe/Moscow",  # Moscow, St. Petersburg, Volgograd
    "GMTP0300S": "Africa/Nairobi",  # Nairobi
    "GMTP0330A": "Asia/Tehran",  # Tehran
    "GMTP0400A": "Asia/Dubai",  # Abu Dhabi, Muscat
    "GMTP0400G": "Asia/Baku",  # Baku
    "GMTP0400M": "Asia/Yerevan",  # Caucasus Standard Time
    "GMTP0400Y": "Asia/Tbilisi",  # Tbilisi
    "GMTP0400S": "Asia/Yerevan",  # Yerevan
    "GMTP0430A": "Asia/Kabul",  # Kabul
    "GMTP0500A": "Asia/Yekaterinburg",  # Ekaterinburg
    "GMTP0500M": "Asia/Karachi",  # Islamabad, Karachi
    "GMTP0500N": "Asia/Tashkent",  # Tashkent
    "GMTP0530A": "Asia/Kolkata",  # Chennai, Kolkata, Mumbai, New Delhi
    "GMTP0530M": "Asia/Colombo",  # Sri Jayawardenepura
    "GMTP0545A": "Asia/Kathmandu",  # Kathmandu
    "GMTP0600M": "Asia/Almaty",  # Astana
    "GMTP0600N": "Asia/Dhaka",  # Dhaka
    "GMTP0630A": "Asia/Yangon",  # Yangon (Rangoon)
    "GMTP0700N": "Asia/Novosibirsk",  # Almaty, Novosibirsk
    "GMTP0700A": "Asia/Bangkok",  # Bangkok, Hanoi, Jakarta
    "GMTP0700M": "Asia/Krasnoyarsk",  # Krasnoyarsk
    "GMTP0800A": "Asia/Shanghai",  # Beijing, Chongqing, Hong Kong, Urumqi
    "GMTP0800G": "Asia/Irkutsk",  # Irkutsk, Ulaan Bataar
    "GMTP0800M": "Asia/Singapore",  # Kuala Lumpur, Singapore
    "GMTP0800S": "Australia/Perth",  # Perth
    "GMTP0800Y": "Asia/Taipei",  # Taipei
    "GMTP0900A": "Asia/Tokyo",  # Osaka, Sapporo, Tokyo
    "GMTP0900G": "Asia/Seoul",  # Seoul
    "GMTP0900M": "Asia/Yakutsk",  # Yakutsk
    "GMTP0930A": "Australia/Adelaide",  # Adelaide
    "GMTP0930M": "Australia/Darwin",  # Darwin
    "GMTP1000A": "Australia/Brisbane",  # Brisbane
    "GMTP1000G": "Australia/Sydney",  # Canberra, Melbourne, Sydney
    "GMTP1000M": "Pacific/Port_Moresby",  # Guam, Port Moresby
    "GMTP1000S": "Australia/Hobart",  # Hobart
    "GMTP1000Y": "Asia/Vladivostok",  # Vladivostok
    "GMTP1100A": "Asia/Magadan",  # Magadan
    "GMTP1100B": "Pacific/Guadalcanal",  # Solomon Is., New Caledonia
    "GMTP1200A": "Pacific/Auckland",  # Auckland, Wellington
    "GMTP1200K": "Pacific/Fiji",  # Fiji
    "GMTP1200G": "Asia/Kamchatka",  # Kamchatka, Marshall Is.
    "GMTP1300M": "Pacific/Apia",  # Midway Island, Samoa
    "GMTP1300A": "Pacific/Tongatapu",  # Nuku'alofa
}
